"""Files from elsewhere: none of them runs code, leaves its folder, or is read as what it is not."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from conftest import EncoderFolder, ModelOf

import jiantx as jx
from jiantx.checkpoints import MANIFEST, find_problem, write_manifest
from jiantx.features import load_features
from jiantx.sources import DataError, read_mewslix

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file that only hostile code would write."""
    return tmp_path / "ran"


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "builtins.input", lambda *_: pytest.fail("somebody was asked at the terminal")
    )


class Hostile:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.ran)!r}, 'w').close()",)


def edit(path: Path, change: Change) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


# --- models ---------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path, model_of: ModelOf, tiny_tasks: dict[str, jx.Task], ran: Path) -> Path:
    """A saved model beside which a module lies that its configs may name."""
    folder = tmp_path / "saved"
    model_of([tiny_tasks["classification"]]).save_pretrained(folder)
    code = f"open({str(ran)!r}, 'w').close()\nimport transformers\n"
    code += "class T(transformers.PreTrainedTokenizerFast): pass\nclass C(transformers.XLMRobertaConfig): pass\n"
    (folder / "evil.py").write_text(code)
    return folder


AUTO = {
    "auto_map": {
        "AutoConfig": "evil.C",
        "AutoModel": "evil.M",
        "AutoTokenizer": ["evil.T", "evil.T"],
    }
}


@pytest.mark.parametrize(
    ("change", "match"),
    {
        "a type of its own": (
            lambda c: c.update(AUTO, model_type="evil", trust_remote_code=True),
            "custom code",
        ),
        "an encoder of its own": (lambda c: c["encoder"].update(AUTO, model_type="evil"), "evil"),
        "no encoder": (lambda c: c.update(encoder=None), "no encoder"),
        "an encoder that is a list": (lambda c: c.update(encoder=[1]), "expected a config"),
        "a model in a model": (lambda c: c["encoder"].update(model_type="jiantx"), "no encoder"),
        "a size that is a text": (lambda c: c["encoder"].update(hidden_size="x"), "hidden_size"),
        "a head of no known type": (
            lambda c: c["heads"]["mood"].update(type="os.system"),
            "os.system",
        ),
        "a head without labels": (lambda c: c["heads"]["mood"].pop("labels"), "'labels'"),
        "a head named by a path": (
            lambda c: c.update(heads={"../x": c["heads"]["mood"]}),
            "cannot be a name",
        ),
        "a head that is a number": (
            lambda c: c.update(heads={"mood": 3}),
            "dictionary of dictionaries",
        ),
        "a task without languages": (
            lambda c: c.update(tasks={"mood": {"head": "mood"}}),
            "languages",
        ),
        "a kernel for the encoder": (
            lambda c: c["encoder"].update(_attn_implementation="org/kernel"),
            "kernel",
        ),
        "a kernel for all": (lambda c: c.update(attn_implementation="org/kernel"), "kernel"),
        "a kernel for experts": (lambda c: c.update(experts_implementation="org/kernel"), "kernel"),
    }.values(),
)
def test_a_config_runs_nothing(change: Change, match: str, saved: Path, ran: Path) -> None:
    edit(saved / "config.json", change)
    with pytest.raises((ValueError, LookupError), match=match):
        jx.MultitaskModel.from_pretrained(saved)
    assert not ran.exists()


def test_a_kernel_of_a_plain_encoder_is_refused(
    encoder_folder: EncoderFolder, tiny_tasks: dict[str, jx.Task], tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(encoder_folder("xlm-r"), folder)
    edit(folder / "config.json", lambda c: c.update(_attn_implementation="org/kernel@main:f"))
    with pytest.raises(ValueError, match="kernel from the Hub"):
        jx.MultitaskModel.from_pretrained(folder, [tiny_tasks["classification"]])


def test_code_beside_a_known_type_is_not_read(saved: Path, ran: Path) -> None:
    edit(
        saved / "config.json",
        lambda c: (c.update(AUTO), c["encoder"].update(AUTO, trust_remote_code=True)),
    )
    edit(saved / "tokenizer_config.json", lambda c: c.update(AUTO))
    assert jx.MultitaskModel.from_pretrained(saved).tokenizer is not None
    assert not ran.exists()


def test_a_tokenizer_s_code_runs_only_if_asked_for(
    saved: Path, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(
        saved / "tokenizer_config.json",
        lambda c: c.update(AUTO, tokenizer_class="T", trust_remote_code=True),
    )
    with pytest.raises(DataError, match="custom code"):
        jx.MultitaskModel.from_pretrained(saved)
    assert not ran.exists()
    monkeypatch.setattr(
        transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    monkeypatch.syspath_prepend(tmp_path / "modules")
    jx.MultitaskModel.from_pretrained(saved, trust_remote_code=True)
    assert ran.exists()


BROKEN = ["{", "[]", "\ufeff", "[" * 3000]


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name in ("tokenizer.json", "tokenizer_config.json") for text in BROKEN]
    + [("tokenizer.json", '{"version": "1.0", "model": {}}')],
)
def test_a_broken_tokenizer_is_named(name: str, text: str, saved: Path) -> None:
    (saved / name).write_text(text)
    with pytest.raises(DataError, match="has no tokenizer that can be loaded"):
        jx.MultitaskModel.from_pretrained(saved)


@pytest.mark.parametrize("form", ["torch", "plain", "safetensors"])
@pytest.mark.parametrize("whole", [True, False])
def test_weights_that_are_a_pickle_run_nothing(
    form: str,
    whole: bool,
    saved: Path,
    encoder_folder: EncoderFolder,
    tiny_tasks: Any,
    tmp_path: Path,
    ran: Path,
) -> None:
    folder = (
        saved if whole else Path(shutil.copytree(encoder_folder("xlm-r"), tmp_path / "encoder"))
    )
    (folder / "model.safetensors").unlink()
    file = folder / ("model.safetensors" if form == "safetensors" else "pytorch_model.bin")
    if form == "plain":
        file.write_bytes(pickle.dumps(Hostile(ran), protocol=2))  # torch warns of others
    else:
        torch.save({"a": Hostile(ran)}, file)
    with pytest.raises(ValueError, match=r"cannot be read .*no other pickle"):
        jx.MultitaskModel.from_pretrained(folder, None if whole else [tiny_tasks["classification"]])
    assert not ran.exists()
    if form == "plain":  # the pickle is one that would have run
        pickle.loads(file.read_bytes())
        assert ran.exists()


def test_tensors_in_a_pickle_are_weights(
    encoder_folder: EncoderFolder, tiny_tasks: Any, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(encoder_folder("xlm-r"), tmp_path / "encoder"))
    encoder = transformers.AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(encoder.state_dict(), folder / "pytorch_model.bin")
    loaded = jx.MultitaskModel.from_pretrained(
        folder, [tiny_tasks["classification"]]
    ).encoder.state_dict()
    assert all(
        torch.equal(loaded[name], value)
        for name, value in encoder.state_dict().items()
        if name in loaded
    )


@pytest.mark.slow
def test_a_checkpoint_s_pickles_run_nothing(
    model_of: ModelOf, tiny_tasks: dict[str, jx.Task], tmp_path: Path, ran: Path
) -> None:
    """All that a checkpoint holds beside safetensors and JSON; training_args.bin is never loaded."""
    task = tiny_tasks["classification"]

    def trainer() -> jx.Trainer:
        settings: Any = {
            "max_steps": 2,
            "save_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
        }
        return jx.Trainer(
            model_of([task]),
            transformers.TrainingArguments(str(tmp_path / "run"), **settings),
            tasks=[task],
        )

    trainer().train()
    checkpoint = tmp_path / "run" / "checkpoint-1"
    pickles = {path.name for path in checkpoint.iterdir() if path.suffix in (".pt", ".pth", ".bin")}
    assert pickles == {"optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"}
    shutil.rmtree(tmp_path / "run" / "checkpoint-2")
    for name in sorted(pickles):
        original_bytes = (checkpoint / name).read_bytes()
        torch.save(Hostile(ran), checkpoint / name)
        write_manifest(checkpoint)
        if name == "training_args.bin":
            trainer().train(resume_from_checkpoint=str(checkpoint))
        else:
            with pytest.raises(pickle.UnpicklingError, match="weights_only"):
                trainer().train(resume_from_checkpoint=str(checkpoint))
        assert not ran.exists()
        (checkpoint / name).write_bytes(original_bytes)


# --- data -----------------------------------------------------------------------------------------

LINES = "".join(json.dumps({"text": f"a{i}", "label": "x"}) + "\n" for i in range(300)).encode()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"] * 300}), sink)
    return sink.getvalue()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., jx.Hub]:
    """(files by name) -> the source of a data set that has these."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def made(**files: bytes) -> jx.Hub:
        for name, content in files.items():
            path = tmp_path / "root" / "org" / "x" / name.replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        jx.data_root(tmp_path / "root")
        return jx.Hub("org/x")

    return made


def card(path: str) -> bytes:
    return f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {path}\n---\n".encode()


def test_a_data_set_s_script_is_not_run(root: Callable[..., jx.Hub], ran: Path) -> None:
    code = f"open({str(ran)!r}, 'w').close()".encode()
    source = root(x_py=code, train_jsonl=LINES, README_md=card("train.jsonl"))
    with pytest.raises(DataError, match=r"scripts are no longer supported"):
        source.rows("train", "en")
    assert not ran.exists()


@pytest.mark.parametrize("listed", [True, False])
def test_a_data_set_s_pickle_is_not_loaded(
    listed: bool, root: Callable[..., jx.Hub], ran: Path
) -> None:
    files = {"README_md": card("train.pkl")} if listed else {}
    with pytest.raises(DataError, match=r"org/x"):
        root(train_pkl=pickle.dumps(Hostile(ran)), **files).rows("train", "en")
    assert not ran.exists()


@pytest.mark.parametrize(
    "text",
    [
        "---\nconfigs: !!python/object/apply:os.system ['touch {ran}']\n---\n",
        "---\n{[\n---\n",
        "---\nconfigs: abc\n---\n",
        "---\nconfigs: [abc]\n---\n",
        "---\n- a\n---\n",
        "---\nconfigs:\n- data_files:\n  - split: train\n    path: train.jsonl\n---\n",
        "\udcff",
    ],
)
def test_a_broken_card_is_named(text: str, root: Callable[..., jx.Hub], ran: Path) -> None:
    content = text.replace("{ran}", str(ran)).encode(errors="surrogateescape")
    with pytest.raises(DataError, match=r"README\.md: expected a dataset card"):
        root(README_md=content, train_jsonl=LINES).rows("train", "en")
    assert not ran.exists()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # datasets < 5.2 leaves the CSV open
@pytest.mark.parametrize("with_card", [True, False])
@pytest.mark.parametrize(
    ("name", "content"),
    {
        "short parquet": ("train.parquet", lambda: parquet()[:-50]),
        "empty parquet": ("train.parquet", lambda: b""),
        "short gz": ("train.jsonl.gz", lambda: gzip.compress(LINES)[:-50]),
        "no gz": ("train.jsonl.gz", lambda: LINES),
        "not JSON": ("train.jsonl", lambda: LINES + b"{bad\n"),
        "half a surrogate pair": ("train.jsonl", lambda: b'{"text": "\\ud800"}\n'),
        "not UTF-8": ("train.csv", lambda: b"text\n\xff\n"),
    }.values(),
)
def test_a_broken_file_of_a_copy_is_named(
    name: str, content: Any, with_card: bool, root: Callable[..., jx.Hub]
) -> None:
    files = {"README_md": card(name)} if with_card else {}
    with pytest.raises(DataError, match=r"org/x cannot be read: .*train\."):
        root(**{name.replace(".", "_"): content()}, **files).rows("train", "en")


def test_archives_stay_in_their_folder(root: Callable[..., jx.Hub], tmp_path: Path) -> None:
    """jiantx opens none; `datasets` reads a tar's members as rows, and a zip's beside its own
    cache.
    """
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("../../../evil.jsonl", LINES)
    with tarfile.open(fileobj=tarred, mode="w") as file:
        member = tarfile.TarInfo("../../../evil.jsonl")
        member.size = len(LINES)
        file.addfile(member, io.BytesIO(LINES))
    for name, content in {"train_zip": zipped.getvalue(), "test_tar": tarred.getvalue()}.items():
        source = root(**{name: content, "README_md": card(name.replace("_", "."))})
        try:
            source.rows("train", "en")
        except DataError as error:
            assert "org/x" in str(error)
    assert not [path for path in tmp_path.rglob("evil.jsonl") if "datasets" not in path.parts]


def test_a_kept_file_cut_short_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Any
) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.jsonl").write_bytes(LINES)
    task = jx.Classification(
        name="x", source=jx.Files(str(tmp_path / "x.jsonl"), jx.read_jsonl), labels=("x",)
    )
    table = load_features(task, "train", "en", tokenizer).table.to_dict()
    for cached_file in (tmp_path / "cache").rglob("*.arrow"):
        short = cached_file.read_bytes()[: cached_file.stat().st_size // 2]
        cached_file.unlink()  # it is mapped
        cached_file.write_bytes(short)
    again = load_features(task, "train", "en", tokenizer).table.to_dict()
    assert len(again["example"]) == 300 and again == table


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "a\\b", "a.b", "", "a\n", "a\0", "Ａ"])
def test_no_path_is_a_task_s_name(name: str) -> None:
    refused: list[dict[str, Any]] = [{"name": name}, {"name": "x", "head": name}]
    for fields in refused:
        with pytest.raises(ValueError, match="cannot be a name"):
            jx.Classification(**fields, source=jx.Rows({}), labels=("x",))


@pytest.mark.parametrize("name", ["../x", "/x", "a\\b", "a\0"])
def test_no_path_is_a_language_or_a_split(
    name: str, tokenizer: Any, model_of: ModelOf, tmp_path: Path
) -> None:
    rows = [{"text": "a", "label": "x"}]
    source = jx.Rows({"train": rows, "validation": {name: rows}, name: rows})
    task = jx.Classification(name="x", source=source, labels=("x",))
    model = model_of([task])
    with pytest.raises(DataError, match="holds a path"):
        load_features(task, "validation", name, tokenizer)
    with pytest.raises(DataError, match="holds a path"):
        jx.evaluate(model, [task], predictions=tmp_path / "said")
    with pytest.raises(DataError, match="holds a path"):
        jx.evaluate(model, [task], split=name, predictions=tmp_path / "said")
    assert not (tmp_path / "said").exists()


def test_ids_that_are_paths_name_no_file(model_of: ModelOf, tmp_path: Path) -> None:
    rows = [
        {"text": "a", "label": "x", "id": "../../evil"},
        {"text": "b", "label": "x", "id": "/evil"},
    ]
    task = jx.Classification(name="x", source=jx.Rows({"validation": rows}), labels=("x",))
    jx.evaluate(model_of([task]), [task], predictions=tmp_path / "said")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [
        "x-validation-en.jsonl"
    ]
    records = [
        json.loads(line)
        for line in (tmp_path / "said" / "x-validation-en.jsonl").read_text().splitlines()
    ]
    assert [row["id"] for row in records] == ["../../evil", "/evil"]


def test_a_manifest_names_no_file_outside(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "a").write_text("a")
    write_manifest(folder)
    facts = json.loads((folder / MANIFEST).read_text())["files"]["a"]
    (tmp_path / "outside").write_text("a")
    for name in ("../outside", str(tmp_path / "outside")):
        (folder / MANIFEST).write_text(json.dumps({"files": {name: facts}}))
        assert "outside" in (find_problem(folder) or "")
    (folder / MANIFEST).write_text('{"files": {}}')
    assert find_problem(folder) == "its manifest lists no file"


def test_a_page_is_text(tmp_path: Path) -> None:
    picture = tmp_path / '<b>x.png"onload="alert(1)'
    picture.write_bytes(b"x")
    page = jx.experiments.Page("<script>")
    page.add("| <script> |\n| --- |\n| `<script>` |", picture)
    html = page.to_html()
    assert html.count("<script>") == 1 and 'onload="' not in html  # the page's own


# --- text -----------------------------------------------------------------------------------------


KINDS = ("classification", "pair", "regression", "tagging", "qa", "choice", "retrieval", "mlm")
# NUL, marks that combine, directions, zero widths, a family, a vowel over a consonant, no
# character, a tag, a long word
ODD = [
    "\0",
    "e\u0301\u0301\u0301",
    "\u202eabc\u202c",
    "\u2066x",
    "\u200b",
    "\ufeff",
    "👩\u200d👩\u200d👧",
    "กำ",
    "\uffff",
]
ODD += ["\U000e0041", "a" * 5000]


@pytest.mark.parametrize("kind", KINDS)
def test_odd_text_is_read_and_predicted(
    kind: str, model_of: ModelOf, tiny_tasks: dict[str, jx.Task]
) -> None:
    task = tiny_tasks[kind].replace(max_length=128)
    rows: list[dict[str, Any]] = []
    for odd in ODD:
        columns = dict.fromkeys(("pair", "question", "id", "prompt", "query", "candidate"), odd)
        lists = {"tokens": ["a", odd, "b"], "choices": ["a", odd]}
        rows.append({**columns, **lists, "text": f"a {odd} b", "context": f"a {odd} b"})
    predictions = jx.predict(model_of([task]), task, rows)
    assert [prediction.id for prediction in predictions] == ODD
    if kind == "tagging":
        assert all(len(prediction.tags) == 3 for prediction in predictions)
    if kind == "qa":
        assert all(
            prediction.span in row["context"]
            for prediction, row in zip(predictions, rows, strict=True)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_surrogate_pair_is_no_text(
    kind: str, model_of: ModelOf, tiny_tasks: dict[str, jx.Task]
) -> None:
    text, task = "a\ud800", tiny_tasks[kind]
    row = dict.fromkeys(
        ("text", "pair", "question", "context", "prompt", "query", "candidate"), text
    )
    with pytest.raises(DataError, match=r"row 0: .*surrogate"):
        jx.predict(model_of([task]), task, [{**row, "tokens": [text], "choices": [text, text]}])


def test_rows_of_half_a_surrogate_pair_or_of_several_types_are_refused(tmp_path: Path) -> None:
    for rows in (
        [{"text": "\ud800"}],
        [{"text": 1}, {"text": "a"}],
        [{"text": 2**64}],
        [{"\ud800": 1}],
    ):
        with pytest.raises(DataError, match=r"The rows (have a column|hold text)"):
            jx.Rows({"train": rows}).rows("train", "en")
    (tmp_path / "x.jsonl").write_text('{"text": 1}\n{"text": [1]}\n')
    with pytest.raises(DataError, match=r"x\.jsonl have a column"):
        jx.Files(str(tmp_path / "x.jsonl"), jx.read_jsonl).rows("train", "en")


def test_a_column_that_comes_later_is_kept(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": "b", "label": "x"}, {"label": "y"}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for source in (jx.Rows({"train": rows}), jx.Files(str(tmp_path / "x.jsonl"), jx.read_jsonl)):
        stored = source.rows("train", "en")
        assert stored["text"][:] == ["a", "b", None] and stored["label"][:] == [None, "x", "y"]


@pytest.mark.parametrize("read", [jx.read_jsonl, jx.read_squad, read_mewslix])
def test_deep_nesting_is_refused(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"data": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(DataError, match=r"x\.json.*recursion"):
        list(read(path))


@pytest.mark.parametrize(
    "read", [jx.read_lines, jx.read_jsonl, jx.read_csv, jx.read_tsv, jx.read_conll, jx.read_conllu]
)
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_named_with_its_line(read: Any, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("ä\tö".encode(encoding))
    with pytest.raises(DataError, match=r"x\.txt(, line 1)?: not UTF-8"):
        list(read(path))


@pytest.mark.slow
def test_a_long_line_is_read_or_refused(tmp_path: Path) -> None:
    text, path = (
        "a b " * (2 << 20),
        tmp_path / "x",
    )  # 8 MB; of 100 MB the docs say what was measured
    path.write_text(text + "\n")
    assert [row["text"] for row in jx.read_lines(path)] == [text]
    path.write_text(json.dumps({"text": text}) + "\n")
    assert [row["text"] for row in jx.read_jsonl(path)] == [text]
    path.write_text(f"text\n{text}\n")
    for read in (jx.read_csv, jx.read_tsv):
        assert [row["text"] for row in read(path)] == [text]
    path.write_text(f"text\n{text * 3}\n")
    for read in (jx.read_csv, jx.read_tsv):
        with pytest.raises(DataError, match=r"line 2: field larger than field limit"):
            list(read(path))
    with pytest.raises(DataError, match=r"line 1: expected 10 columns"):
        list(jx.read_conllu(path))
