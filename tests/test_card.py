"""Model cards: what a saved folder says of itself."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from transformers import AutoConfig, TrainingArguments

import jiantx as jx
from jiantx.model import saving
from jiantx.model.config import MultitaskConfig, trained_entry
from jiantx.model.declarations import declaration
from jiantx.model.model_card import model_card
from jiantx.report import MAIN, Report, Score
from jiantx.sampling import Sampler
from jiantx.trainer_card import undrawn_tasks

TASKS = {
    "xnli": {"head": "nli", "languages": ["en", "de"]},
    "ccg": {"head": "ccg", "languages": ["en"]},
}
HEADS = {
    "nli": {"type": "classification", "labels": ["yes", "no"]},
    "ccg": {"type": "token_classification", "labels": [f"tag{i}" for i in range(1363)]},
}


def test_tasks_labels_languages_and_scores() -> None:
    report = Report([Score("xnli", "validation", "sw", MAIN, 61.25, 10)])
    text = model_card("xlm-roberta", TASKS, HEADS, report)
    data = ModelCard(text).data
    assert data.language == ["de", "en", "sw"] and data.library_name == "jiantx"
    assert data.tags == ["jiantx", "classification", "token_classification"]
    assert "| xnli | nli | classification | yes, no | en, de |" in text
    assert "| ccg | ccg | token_classification | 1,363 labels | en |" in text
    assert "## Main scores (validation, 0 to 100)" in text and "61.2" in text
    assert "An encoder (xlm-roberta) with heads for 2 tasks." in text
    assert "scores" not in model_card("bert", TASKS, HEADS, None)
    one_task = {"xnli": TASKS["xnli"]}
    text = model_card("bert", one_task, HEADS, None, base_model="org/bert")
    assert "An encoder with a head for `xnli`, fine-tuned from [org/bert](" in text


def test_a_language_code_is_not_read_as_a_boolean() -> None:
    """Norwegian is `no`, which YAML takes for false."""
    text = model_card("bert", {"xnli": {"head": "nli", "languages": ["no"]}}, HEADS, None)
    assert ModelCard(text).data.language == ["no"]


def test_a_trained_model_is_saved_with_its_scores(
    tmp_path: Path, model_of: Any, tiny_tasks: Any
) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task])
    arguments = TrainingArguments(
        str(tmp_path / "run"), max_steps=1, report_to="none", disable_tqdm=True
    )
    trainer = jx.Trainer(model, arguments, tasks=[task])
    trainer.train()
    score = trainer.evaluate()["eval_score"]
    model.save_pretrained(tmp_path / "saved")
    text = (tmp_path / "saved" / "README.md").read_text()
    assert (
        "| mood | mood | classification | no, perhaps, yes | en |" in text
        and f"{score:.1f}" in text
    )
    again = jx.MultitaskModel.from_pretrained(tmp_path / "saved")
    saved = {"head": "mood", "languages": ["en"], "declaration": declaration(task)}
    assert again.config.tasks == {"mood": saved}
    first = again.config.trainings[0]
    assert (first["steps"], first["batch_size"], first["seed"]) == (1, 8, 42)
    assert f"mood, {first['rows']['mood']['en']} (en). 1 steps, batch size 8," in text
    # a second training is added to the first
    jx.Trainer(again, arguments, tasks=[task]).train()
    assert [training["steps"] for training in again.config.trainings] == [1, 1]


def test_the_card_is_what_is_pushed(
    monkeypatch: pytest.MonkeyPatch, model_of: Any, tiny_tasks: Any, tmp_path: Path
) -> None:
    sent: dict[str, Any] = {}

    class Api:
        def __init__(self, token: Any) -> None:
            sent["token"] = token

        def create_repo(self, repo_id: str, **kwargs: Any) -> Any:
            return type("Url", (), {"repo_id": f"me/{repo_id}"})

        def upload_folder(self, *, folder_path: str, **kwargs: Any) -> str:
            sent.update(kwargs, files={p.name for p in Path(folder_path).iterdir()})
            sent["card"] = (Path(folder_path) / "README.md").read_text()
            return "url"

    monkeypatch.setattr(saving, "HfApi", Api)
    assert model_of([tiny_tasks["tagging"]]).push_to_hub("mine", token="t", create_pr=True) == "url"
    assert sent["repo_id"] == "me/mine" and sent["create_pr"] and sent["token"] == "t"
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= sent["files"]
    assert "| entities | entities | token_classification | O, B-X | not trained |" in sent["card"]
    assert 'model = jx.load("me/mine")' in sent["card"]  # and not the temporary folder
    sent.clear()
    model_of([tiny_tasks["tagging"]]).save_pretrained(
        tmp_path / "yours", push_to_hub=True, token="t"
    )
    assert (
        sent["repo_id"] == "me/yours"
        and "tokenizer.json" in sent["files"]
        and "| entities |" in sent["card"]
    )


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the trainer uploads: the commit's message and the card."""
    commits: list[dict[str, Any]] = []

    class Api:
        def create_repo(self, repo_id: str, **kwargs: Any) -> Any:
            return type("Url", (), {"repo_id": f"me/{repo_id}"})

        def upload_folder(self, *, folder_path: str, commit_message: str, **kwargs: Any) -> Any:
            card = Path(folder_path) / "README.md"
            if Path(folder_path).name == "run":  # not a checkpoint's own folder
                commits.append({"message": commit_message, "card": card.read_text()})
            return Future()

    monkeypatch.setattr(transformers.trainer, "hf_api", Api)
    return commits


class Future:
    def is_done(self) -> bool:
        return True

    done = is_done


def pushing_trainer(model: Any, task: jx.Task, folder: Path, **options: Any) -> jx.Trainer:
    arguments = TrainingArguments(
        str(folder / "run"),
        max_steps=2,
        save_steps=1,
        report_to="none",
        disable_tqdm=True,
        push_to_hub=True,
        hub_token="t",
        **options,
    )
    return jx.Trainer(model, arguments, tasks=[task])


def test_every_push_of_the_trainer_has_our_card(
    pushed: list[dict[str, Any]], model_of: Any, tiny_tasks: Any, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    trainer = pushing_trainer(model_of([task]), task, tmp_path, eval_strategy="steps", eval_steps=1)
    trainer.train()
    trainer.save_model()
    trainer.push_to_hub(license="mit", tags="mood", finetuned_from="xlm-roberta-base")
    messages = [commit["message"] for commit in pushed]
    assert messages == [
        "Training in progress, step 1",
        "Training in progress, step 2",
        "Model save",
        "End of training",
    ]
    for commit in pushed:
        assert "| mood | mood | classification | no, perhaps, yes | en |" in commit["card"]
        data = ModelCard(commit["card"]).data
        assert (data.library_name, data.pipeline_tag) == ("jiantx", "text-classification")
        assert "generated_from_trainer" not in commit["card"]
        values = {result.metric_type: result.metric_value for result in data.eval_results}
        assert set(values) == {"accuracy", "main_score"}
    assert data.license == "mit" and data.base_model == "xlm-roberta-base"
    assert data.tags == ["jiantx", "classification", "mood"]
    assert values["main_score"] == trainer.evaluate()["eval_score"]
    trainer.create_model_card()  # later cards keep the licence
    assert ModelCard.load(tmp_path / "run" / "README.md").data.license == "mit"
    with pytest.raises(TypeError, match="takes no 'dataset': it shows the model's tasks and its"):
        trainer.create_model_card(dataset="glue")


def test_a_run_with_adapters_pushes_our_card_too(
    pushed: list[dict[str, Any]], model_of: Any, tiny_tasks: Any, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    task = tiny_tasks["classification"]
    model = model_of([task])
    trainer = pushing_trainer(peft.get_peft_model(model, model.lora_config(r=2)), task, tmp_path)
    trainer.train()
    trainer.evaluate()
    trainer.push_to_hub()
    card = pushed[-1]["card"]
    assert ModelCard(card).data.library_name == "peft"
    assert "PeftModel.from_pretrained(model" in card and "| mood | mood |" in card
    assert "## Main scores (validation, 0 to 100)" in card


def test_metadata() -> None:
    """Every number is in the metadata, under its dataset, with its task, language and run."""
    tasks = {"xnli": {**TASKS["xnli"], "datasets": ["facebook/xnli"]}, "ccg": TASKS["ccg"]}
    scores = [
        Score("xnli", "validation", "sw", MAIN, 61.25, 10),
        Score("xnli", "validation", "sw", "truncated", 3, 10),
        Score("xnli", "validation", "de", MAIN, math.nan, 10),  # undefined; the Hub takes no NaN
        Score("tatoeba", "test", "de", "accuracy_at_1", 5.0, 10, {"layer": 7}),
    ]
    text = model_card("bert", tasks, HEADS, Report(scores), base_model="bert-base-cased")
    data = ModelCard(text).data
    assert data.pipeline_tag == "text-classification" and data.base_model == "bert-base-cased"
    assert data.datasets == ["facebook/xnli"]
    xnli, tatoeba = data.eval_results
    assert (xnli.task_type, xnli.dataset_type) == ("text-classification", "facebook/xnli")
    assert (xnli.dataset_config, xnli.dataset_split) == ("sw", "validation")
    assert (xnli.metric_type, xnli.metric_value) == (MAIN, 61.25)
    assert xnli.metric_name == f"xnli, sw: {MAIN}"
    assert (tatoeba.dataset_type, tatoeba.metric_args) == ("tatoeba", {"layer": 7})


def test_languages_without_training_rows_are_named() -> None:
    scores = [Score("xnli", "test", code, MAIN, 50.0, 10) for code in ("en", "sw", "zh")]
    text = model_card("bert", TASKS, HEADS, Report(scores))
    assert "Zero-shot, without training rows: xnli in sw, zh." in text
    assert "Zero-shot" not in model_card("bert", TASKS, HEADS, Report(scores[:1]))


def test_a_language_of_an_earlier_training_is_not_zero_shot() -> None:
    scores = [Score("xnli", "test", code, MAIN, 50.0, 10) for code in ("en", "de", "fr", "sw")]
    training = {"steps": 1, "batch_size": 4, "learning_rate": 0.1, "precision": "x", "seed": 1}
    trainings = [{**training, "rows": {"xnli": {"fr": 9}}}]
    text = model_card("bert", TASKS, HEADS, Report(scores), trainings=trainings)
    assert "without training rows: xnli in sw." in text and "| en, de, fr |" in text


def test_labels_do_not_break_the_table() -> None:
    heads = {"nli": {"type": "classification", "labels": ["a|b", "two\nlines", "<neutral>", "c\r"]}}
    text = model_card("bert", {"xnli": TASKS["xnli"]}, heads, None)
    line = next(line for line in text.splitlines() if line.startswith("| xnli"))
    assert line == r"| xnli | nli | classification | a\|b, two lines, &lt;neutral>, c | en, de |"
    cells = re.split(r"(?<!\\)\|", line)
    assert len(cells) == 7


def test_base_model_and_datasets_are_those_of_the_hub(
    encoder_folder: Any, tiny_tasks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a folder's path, and not the datasets that the artificial world stands for."""
    config = AutoConfig.from_pretrained(encoder_folder("xlm-r"))
    assert MultitaskConfig(encoder=config).base_model is None
    config.name_or_path = "FacebookAI/xlm-roberta-base"
    saved = MultitaskConfig(encoder=config)
    assert saved.base_model == "FacebookAI/xlm-roberta-base"
    saved.save_pretrained(tmp_path)
    again = MultitaskConfig.from_pretrained(tmp_path)
    assert again.base_model == saved.base_model
    both = jx.Concat(
        jx.Hub("facebook/xnli", "{language}", languages=("en", "de")),
        jx.Hub("me/{language}-nli", languages={"de": "german"}),
        jx.Rows({"train": []}),
    )
    task = tiny_tasks["pair"].replace(source=both, train_languages=("en", "de"))
    entry = {"head": "pairs", "languages": ["en", "de"], "declaration": declaration(task)}
    assert trained_entry(task, None) == {**entry, "datasets": ["facebook/xnli", "me/german-nli"]}
    jx.data_root(tmp_path)
    assert "datasets" in trained_entry(task, None)  # a mirror
    (tmp_path / "jiantx-synthetic.json").touch()
    assert trained_entry(task, None) == entry
    (tmp_path / "facebook" / "xnli").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    jx.data_root(None)
    assert trained_entry(task, None)["datasets"] == ["me/german-nli"]  # the other is a folder here


def test_scores_survive_the_hub_s_parsing() -> None:
    """Also those of two tasks that read one data set: each keeps its name."""
    shared = {"datasets": ["me/moods"], "head": "nli", "languages": ["en"]}
    tasks = {"mood": shared, "mood_again": shared, "ccg": {**TASKS["ccg"], "datasets": ["me/ccg"]}}
    scores = [
        Score(task, "test", language, metric, value, 10)
        for value, (task, language, metric) in enumerate(
            [("mood", "en", MAIN), ("mood_again", "en", MAIN), ("ccg", "de", "accuracy")]
        )
    ]
    data = ModelCard(model_card("bert", tasks, HEADS, Report(scores))).data
    name, results = model_index_to_eval_results(data.to_dict()["model-index"])
    assert name == "mood, mood_again, ccg on a shared encoder (bert)"
    assert results == data.eval_results
    assert [(r.dataset_type, r.dataset_name, r.metric_value) for r in results] == [
        ("mood", "mood (en)", 0),
        ("mood_again", "mood_again (en)", 1),
        ("me/ccg", "ccg (de)", 2),
    ]


def code_of(card: str) -> str:
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]


def test_the_code_of_a_card_runs(
    tmp_path: Path, model_of: Any, tiny_tasks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    types = (
        "classification",
        "pair",
        "regression",
        "tagging",
        "qa",
        "choice",
        "spans",
        "retrieval",
    )
    model = model_of([tiny_tasks[name] for name in types])
    folder = tmp_path / 'a "quoted" folder'
    model.save_pretrained(folder)
    exec(code_of((folder / "README.md").read_text()), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(types)
    assert printed[0].partition(" (")[0] in tiny_tasks["classification"].labels


def test_a_card_names_the_declarations_that_it_needs(tmp_path: Path, model_of: Any) -> None:
    task = jx.Classification(
        name="moody",
        source=jx.Rows({"train": []}),
        labels=("a", "b"),
        text=lambda row: row["title"] + row["body"],
    )
    model_of([task]).write_card(tmp_path)
    code = code_of((tmp_path / "README.md").read_text())
    assert "from my_tasks import moody  # where they are declared" in code
    assert f'jx.load("{tmp_path}", tasks=[moody])' in code and "predict" not in code

    plain = task.replace(name="plain", text="title")
    model_of([task, plain]).write_card(tmp_path)
    code = code_of((tmp_path / "README.md").read_text())
    assert f'model = jx.load("{tmp_path}")  #' in code, "one task can be used without the other"
    assert "# moody needs its text, which no folder holds: give it," in code
    assert 'task="plain"' in code and 'task="moody"' not in code


def test_no_section_is_empty() -> None:
    full = model_card(
        "bert",
        {"xnli": {**TASKS["xnli"], "datasets": ["facebook/xnli"]}},
        HEADS,
        Report([Score("xnli", "validation", "sw", MAIN, 61.25, 10)]),
        base_model="bert-base-cased",
        license="mit",
    )
    minimal = model_card("bert", {}, {}, Report())
    for text, titles in (
        (full, ["Usage", "Tasks", "Training data", "Main scores"]),
        (minimal, ["Usage"]),
    ):
        sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
        assert [re.split(r" \(|\n", section)[0] for section in sections] == titles
        assert all(section.partition("\n")[2].strip() for section in sections)
    assert "[bert-base-cased](https://huggingface.co/bert-base-cased)" in full
    assert "- [facebook/xnli](https://huggingface.co/datasets/facebook/xnli)" in full
    assert ModelCard(full).data.license == "mit"


def test_a_licence_stays_for_later_cards(tmp_path: Path, model_of: Any, tiny_tasks: Any) -> None:
    model = model_of([tiny_tasks["tagging"]])
    model.card_metadata = {"license": "mit"}
    model.save_pretrained(tmp_path)
    assert ModelCard.load(tmp_path / "README.md").data.license == "mit"


def test_misspelt_metadata_are_refused_before_anything_is_saved(
    model_of: Any, tiny_tasks: Any, tmp_path: Path
) -> None:
    model = model_of([tiny_tasks["tagging"]])
    with pytest.raises(TypeError, match=r"'licence'\. Did you mean 'license'"):
        model.card_metadata = {"licence": "mit"}
    with pytest.raises(TypeError, match="Did you mean"):
        model.write_card(tmp_path, languages=["de"])
    # fields that the Hub reads and huggingface_hub does not list
    model.card_metadata = {"co2_eq_emissions": 3, "base_model_relation": "finetune", "tags": ["x"]}
    model.write_card(tmp_path)
    assert ModelCard.load(tmp_path / "README.md").data.co2_eq_emissions == 3


def test_a_resumed_training_is_one_training(model_of: Any, tiny_tasks: Any, tmp_path: Path) -> None:
    from test_trainer import arguments

    task = tiny_tasks["classification"]
    options = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path, **options), tasks=[task])
    trainer.train()
    saved = jx.MultitaskModel.from_pretrained(tmp_path / "checkpoint-1").config.trainings
    assert [training["steps"] for training in saved] == [1]
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert steps_of(trainer) == [2]
    # in a new process: from an untrained model, from the checkpoint's, and after the end
    for path, checkpoint in (("", "1"), ("checkpoint-1", "1"), ("", "2")):
        model = model_of([task])
        if path:
            model = jx.MultitaskModel.from_pretrained(tmp_path / path, [task])
        again = jx.Trainer(model, arguments(tmp_path, **options), tasks=[task])
        again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{checkpoint}"))
        assert steps_of(again) == [2]


def steps_of(trainer: jx.Trainer) -> list[int]:
    return [training["steps"] for training in trainer.model.config.trainings]


def test_the_card_says_what_a_step_was(model_of: Any, tiny_tasks: Any, tmp_path: Path) -> None:
    """Also where the arguments of the run do not say it."""
    from test_trainer import arguments

    long = {"id": "1", "question": "who", "context": "the cat sees a dog " * 20}
    row = {**long, "answers": {"text": ["the cat"], "answer_start": [0]}}
    answers = jx.QuestionAnswering("answers", jx.Rows([row] * 5), max_length=24, stride=8)
    mood = tiny_tasks["classification"]
    model = model_of([answers, mood])
    best = {"metric_for_best_model": "mood", "load_best_model_at_end": True, "max_steps": 3}
    evaluated = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps"}
    options = {**best, **evaluated, "save_steps": 1, "per_device_train_batch_size": 4}
    trainer = jx.Trainer(
        model,
        arguments(tmp_path, **options),
        tasks=[answers, mood],
        sampling=jx.Sampling(batch_size={"mood": 8}),
        optimizers=(torch.optim.SGD(model.parameters(), lr=0.0), None),
    )
    trainer.train()
    (training,) = model.config.trainings
    assert training["rows"]["answers"] == {"en": 5}, "rows, and not windows"
    assert training["batch_size"] == {"answers": 4, "mood": 8}
    assert training["learning_rate"] is None, "it is the optimizer's"
    assert training["steps"] == trainer.state.best_global_step == 1, "no later step was better"
    model.write_card(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "1 steps, batch size 4 (answers), 8 (mood), float32, seed 3." in text


def test_a_training_without_a_step_is_none(
    model_of: Any, tiny_tasks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_trainer import arguments

    task = tiny_tasks["classification"]
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path, max_steps=1), tasks=[task])
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "training_step", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trainer.train()
    trainer.train()
    assert steps_of(trainer) == [1]


def test_scores_of_other_weights_are_forgotten(
    model_of: Any, tiny_tasks: Any, tmp_path: Any
) -> None:
    from test_trainer import arguments

    task = tiny_tasks["classification"]
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path, max_steps=1), tasks=[task])
    trainer.evaluate()
    assert trainer.model.report is not None
    trainer.train()
    assert trainer.model.report is None


def test_a_checkpoint_between_evaluations_has_no_scores(
    model_of: Any, tiny_tasks: Any, tmp_path: Any
) -> None:
    from test_trainer import arguments

    task = tiny_tasks["classification"]
    strategies = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps"}
    args = arguments(tmp_path, max_steps=4, save_steps=1, **strategies)
    trainer = jx.Trainer(model_of([task]), args, tasks=[task], eval_tasks=[task])
    trainer.train()
    has_scores = {}
    for step in (1, 2, 3, 4):
        card = (tmp_path / f"checkpoint-{step}" / "README.md").read_text(encoding="utf-8")
        has_scores[step] = "## Main scores" in card
    assert has_scores == {1: False, 2: True, 3: False, 4: True}


def test_tasks_that_no_step_trains() -> None:
    sizes = {"big": {"en": 10_000}, "small": {"en": 1, "de": 1}}
    rare = Sampler(jx.Sampling(), sizes, batch_size=4, seed=0)
    drawn = next(step for step in itertools.count() if rare.task_of(step)[0] == "small")
    assert undrawn_tasks(rare, drawn) == ["small"] and undrawn_tasks(rare, drawn + 1) == []
    assert undrawn_tasks(rare, 0) == ["big", "small"]
    assert undrawn_tasks(Sampler(jx.Sampling(mix=2), sizes, batch_size=4, seed=0), 20_000) == []
