"""The command: what it prints, writes and refuses, and how quickly it answers."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx.command import main
from jiantx.report import MAIN, Report, Score
from jiantx.tasks import TASKS, import_tasks

ROOT = Path(__file__).parents[1]
MY_TASKS = """
import jiantx as jx

rows = [
    {"text": "the cat eats", "label": "glad", "group": 1},
    {"text": "a dog sees", "label": "sad", "group": 2},
]
jx.register(
    jx.Classification(
        name="command_mood",
        source=jx.Rows({"train": rows, "validation": {"en": rows, "de": rows[:1]}}),
        labels=("sad", "glad"),
    )
)
"""


@pytest.fixture
def my_tasks(tmp_path: Path) -> Iterator[Path]:
    """A file that registers a task, which is gone after the test."""
    file = tmp_path / "my_command_tasks.py"
    file.write_text(MY_TASKS)
    path = list(sys.path)
    yield file
    sys.path[:] = path
    sys.modules.pop("my_command_tasks", None)
    TASKS._values.pop("command_mood", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model_of: Any, tiny_tasks: Any) -> Path:
    """A saved model with two tasks."""
    mood = tiny_tasks["classification"].replace(name="command_mood", labels=("sad", "glad"))
    folder = tmp_path_factory.mktemp("command")
    model_of([mood, tiny_tasks["tagging"]]).save_pretrained(folder)
    return folder


def run(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments])


def test_help_and_version_are_light() -> None:
    code = (
        "import sys; from jiantx.command import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stopped: assert not stopped.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for flags in (["--help"], ["--version"], ["evaluate", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *flags], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(("usage: jiantx", f"jiantx {jx.__version__}\n"))


@pytest.mark.parametrize("verb", ["tasks", "show", "evaluate", "predict", "report", "recipe"])
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(verb, "--help")
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: jiantx {verb}") and f"jiantx {verb} " in printed[20:]
    assert "--import FILE.py" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "xnly"], "No task is named 'xnly'. Did you mean 'xnli'"),
        (["tasks", "xnly"], "No task has 'xnly'. Did you mean 'xnli'"),
        (["tasks", "--type", "tagging"], "No task has the type 'tagging'"),
        (["predict", "nowhere", "-"], "There is no folder nowhere, and no such model"),
        (["predict", "x", "rows.xlsx"], "rows.xlsx: .xlsx is of no known format"),
        (["predict", "x", "rows.csv"], "There is no file rows.csv"),
        (["predict", "x", "--output", "o.txt"], "--output o.txt: expected a file .csv or .jsonl"),
        (["report", "nowhere"], "nowhere does not exist. `jiantx evaluate MODEL TASK --output"),
        (["tasks", "--import", "nowhere.py"], "nowhere.py is no Python file"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"text\n")))
    assert run(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert captured.err.startswith("error: ") and message in captured.err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--debug", "show", "xnly"], ["show", "xnly", "--debug"]):
        assert run(*arguments) == 1
        printed = capsys.readouterr().err
        assert printed.startswith("Traceback") and "LookupError: No task is named" in printed


def test_a_wrong_command_line_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["tusks"], ["evaluate"], ["recipe", "--learning_rat", "1"]):
        with pytest.raises(SystemExit) as stopped:
            run(*arguments)
        assert stopped.value.code == 2
    assert "is not a flag of this program" in capsys.readouterr().err


def test_an_interrupted_recipe_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jiantx.experiments.run_recipe", interrupt)
    assert run("recipe") == 130
    assert "Interrupted. Stages that are done are kept" in capsys.readouterr().err


def test_tasks_with_rows_in_a_data_root(
    world: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("tasks", "xnli", "--data-root", "artificial") == 0
    assert re.search(r"xnli +classification +6 ", capsys.readouterr().out)
    assert run("tasks", "xnli", "--data-root", tmp_path) == 1
    assert f"No task of 4 has rows in {tmp_path}" in capsys.readouterr().err
    assert run("tasks", "pawsx", "--data-root", "artificial", "--language", "ko") == 1
    assert "No task of 1 has rows in 'ko' in artificial" in capsys.readouterr().err


def test_a_task_of_one_s_own_files_is_listed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    declared = tmp_path / "own_tasks.py"
    declared.write_text(
        "import jiantx as jx\n"
        'jx.register(jx.Classification("own_csv", jx.Csv("absent.csv"), labels=("a", "b")))\n'
    )
    try:
        assert run("tasks", "own_csv", "--import", declared) == 0
        assert "1 task." in capsys.readouterr().out
        assert "own_csv" in jx.list_tasks(language="en")
    finally:
        del TASKS._values["own_csv"]


def test_tasks_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tasks", "NLI", "xtreme", "--language", "sw") == 0
    printed = capsys.readouterr().out
    assert "xnli" in printed and "mnli" not in printed.replace("facebook", "")
    assert printed.rstrip().endswith("prints one's card and some of its rows.")
    assert run("tasks") == 0
    assert f"\n{len(jx.list_tasks())} tasks." in capsys.readouterr().out


def test_a_task_of_one_s_own_is_shown(my_tasks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "command_mood", "--import", my_tasks, "--rows", 1) == 0
    printed = capsys.readouterr().out
    assert "labels      sad, glad" in printed and "languages   2: de en" in printed
    assert "command_mood, validation, en: 1 of 2 rows" in printed
    assert "  text   the cat eats\n  label  glad" in printed
    assert run("show", "command_mood", "--language", "de", "--split", "validation") == 0
    assert "validation, de: 1 of 1 rows" in capsys.readouterr().out
    assert run("show", "command_mood", "--language", "dx") == 1
    assert "has no rows in 'dx' here." in capsys.readouterr().err


def test_files_that_register_tasks(my_tasks: Path) -> None:
    assert import_tasks([my_tasks, my_tasks]) == ("command_mood",)
    other = my_tasks.with_name("json.py")
    other.write_text("raise AssertionError")
    with pytest.raises(jx.DataError, match="A module named 'json' is imported already"):
        import_tasks([other])


def test_flags_of_the_recipe_name_imported_tasks(my_tasks: Path) -> None:
    flags = ["--targets", "command_mood", "--import", str(my_tasks)]
    options, training = jx.experiments.parse_arguments([*flags, "--command_mood.max_steps", "3"])
    assert options.targets == ["command_mood"] and training["command_mood"] == {"max_steps": 3}


def test_evaluate_prints_and_writes(
    folder: Path, my_tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "report.json"
    flags = ["--import", my_tasks, "--output", output, "--predictions", tmp_path / "predictions"]
    assert run("evaluate", folder, "command_mood", "--languages", "de", "en", *flags) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("| task | en | de | mean |") and f"Written: {output}" in printed
    report = Report.from_json(output)
    assert {(score.task, score.language) for score in report} == {
        ("command_mood", "en"),
        ("command_mood", "de"),
    }
    assert len(list((tmp_path / "predictions").iterdir())) == 2
    assert run("report", output) == 0
    assert "| command_mood |" in capsys.readouterr().out
    assert (output.parent / "scores.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_an_output_that_cannot_be_written_is_refused_first(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results.csv"
    folder.mkdir()
    texts = tmp_path / "texts.txt"
    texts.write_text("a dog\n")
    inputs = [texts] if verb == "predict" else []
    assert run(verb, "no_such_model", *inputs, "--output", folder) == 1
    assert f"--output {folder}: this is a folder" in capsys.readouterr().err
    assert run(verb, "no_such_model", *inputs, "--output", texts / "out.csv") == 1
    assert f"--output {texts / 'out.csv'}: " in capsys.readouterr().err


def test_rows_with_blank_cells_get_no_prediction(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("text,n\na dog,1\n ,2\nthe cat,3\n")
    assert run("predict", folder, source, "--task", "command_mood") == 0
    printed = capsys.readouterr()
    assert "1 row has a blank input and no prediction." in printed.err
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["n"] for row in rows] == ["1", "2", "3"]
    assert ["predicted_label" in row for row in rows] == [True, False, True]
    expected = jx.load(folder).predict("the cat", task="command_mood").label
    assert rows[2]["predicted_label"] == expected


def test_the_words_of_a_tagging_task_may_stand_in_a_cell(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("tokens\nthe cat eats\n")
    assert run("predict", folder, source, "--task", "entities") == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(row["predicted_tags"]) == 3


def test_predict_reads_and_writes_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text('text,label\n"the cat, the dog",x\na dog,y\n')
    expected = jx.load(folder).predict(["the cat, the dog", "a dog"], task="command_mood")
    for name in ("out.csv", "out.jsonl"):
        assert (
            run("predict", folder, source, "--task=command_mood", f"--output={tmp_path / name}")
            == 0
        )
    csv_rows = list(jx.read_csv(tmp_path / "out.csv"))
    json_rows = list(jx.read_jsonl(tmp_path / "out.jsonl"))
    for rows in (csv_rows, json_rows):
        assert [row["predicted_label"] for row in rows] == [p.label for p in expected]
        assert [row["label"] for row in rows] == ["x", "y"]  # what was there stays
    probabilities = [row["predicted_probability"] for row in json_rows]
    assert probabilities == pytest.approx([p.probability for p in expected], abs=1e-5)
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the cat eats\n\na dog\n")))
    assert run("predict", folder, "--task", "entities") == 0
    printed = capsys.readouterr()
    assert "1 blank line is left out." in printed.err
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [line["text"] for line in lines] == ["the cat eats", "a dog"]
    assert [len(line["predicted_tags"]) for line in lines] == [3, 2]
    assert run("predict", folder, source) == 1
    assert 'has the tasks command_mood, entities. Name one: task="' in capsys.readouterr().err


def test_predict_reads_what_a_user_has_or_refuses_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    source = tmp_path / "rows.csv"
    source.write_bytes("text;label\nthe café;x\na dog;y\n".encode("latin-1"))
    flags = ["--task", "command_mood"]
    assert run("predict", folder, source, *flags) == 1
    assert "On the command line it is --encoding." in capsys.readouterr().err
    assert run("predict", folder, source, *flags, "--encoding", "latin-1") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["the café", "a dog"]
    table = tmp_path / "rows.tsv"  # quotation marks are letters here, as for jx.Tsv
    table.write_text('text\tid\n"a dog\t1\nthe cat"\t2\n')
    assert run("predict", folder, table, *flags) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ['"a dog', 'the cat"']
    assert run("predict", folder, source, *flags, "--output", source) == 1
    assert "this is the file that is read" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "a dog"}\n')))
    assert run("predict", folder, *flags) == 1
    assert "Pass --format jsonl" in capsys.readouterr().err


def test_reports_of_several_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def score(intermediate: str, value: float) -> Score:
        tags: dict[str, str | int] = {"intermediate": intermediate, "seed": 1}
        return Score("xnli", "test", "sw", MAIN, value, 10, tags)

    for run_name in ("a", "b"):
        (tmp_path / run_name).mkdir()
        report = Report([score("none", 60.0), score("mnli", 64.5)])
        report.to_json(tmp_path / run_name / "report.json")
    assert run("report", tmp_path / "a", "--output", tmp_path / "page.html") == 0
    printed = capsys.readouterr().out
    assert "+4.5" in printed and "## Main scores (test)" in printed
    assert (tmp_path / "page.html").exists() and (tmp_path / "page.md").exists()
    assert run("report", tmp_path) == 0
    assert "run=a" in capsys.readouterr().out.replace(" ", "")
    # failed runs of targets that are not registered cannot be told
    tags: dict[str, str | int] = {"intermediate": "none", "seed": 1}
    mine = [Score("mine", "test", "sw", metric, 9.0, 10, tags) for metric in (MAIN, "development")]
    Report(mine).to_json(tmp_path / "mine.json")
    assert run("report", tmp_path / "mine.json") == 0
    printed = capsys.readouterr().out
    assert "all are shown: The target 'mine'" in printed and "--import" in printed
    # a recipe's folder: the stages' reports are parts of the table's
    Report([score("none", 70.0)]).to_json(tmp_path / "report.json")
    assert run("report", tmp_path) == 0
    printed = capsys.readouterr().out
    assert "70.0" in printed and "60.0" not in printed


@pytest.mark.slow
def test_the_commands_of_the_how_to_page_run(
    world: None, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the page, in a folder with the files that it names."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "howto" / "command_line.md").read_text()
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    declared = next(code for language, code in blocks if language == "python")
    (tmp_path / "my_tasks.py").write_text(declared)
    (tmp_path / "texts.csv").write_text("text\nthe happy cook.\nthe sad cook.\n")
    path = list(sys.path)
    namespace: dict[str, Any] = {}
    try:
        for language, code in blocks:
            if language == "python":
                exec(code, namespace)
                continue
            for line in code.splitlines():
                piped, _, command = line.rpartition(" | ")
                if piped:
                    typed = shlex.split(piped)[1] + "\n"
                    stdin = io.TextIOWrapper(io.BytesIO(typed.encode()))
                    monkeypatch.setattr("sys.stdin", stdin)
                program, *arguments = shlex.split(command)
                assert program == "jiantx" and run(*arguments) == 0, line
    finally:
        sys.path[:] = path
        sys.modules.pop("my_tasks", None)
        TASKS._values.pop("mood", None)
    printed = capsys.readouterr().out
    assert "4 tasks. `jiantx show NAME` prints one's card" in printed
    assert '"predicted_label": ' in printed
    for name in (
        "predicted.csv",
        "predicted.jsonl",
        "runs/mood/scores.html",
        "runs/recipe/report.json",
    ):
        assert (tmp_path / name).stat().st_size > 0
    listed = text.partition("```\ntask  ")[2].partition("```")[0]
    assert "afrixnli" in listed and listed in printed
