"""The example programs and the README's example run, on a world small enough for a test."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import jiantx as jx
from jiantx import synthetic

ROOT = Path(__file__).parents[1]
RECIPE = str(ROOT / "examples" / "intermediate_then_target.py")
SHARED = ROOT.parent / "shared"


def run(monkeypatch, program, *arguments):
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    runpy.run_path(program, run_name="__main__")


def recipe(monkeypatch, output, *arguments):
    run(
        monkeypatch,
        RECIPE,
        "--max_steps",
        2,
        "--disable_tqdm",
        "true",
        "--output",
        output,
        *arguments,
    )


@pytest.mark.slow
def test_recipe_on_the_default_world(world, monkeypatch, tmp_path, capsys):
    tokens = ["mnli", "mnli+squad_v1+hellaswag"]
    recipe(monkeypatch, tmp_path / "a", "--intermediate", *tokens, "--targets", "udpos", "tatoeba")
    printed = capsys.readouterr().out
    assert "none" in printed and "mnli+squad_v1+hellaswag" in printed and "average" in printed
    records = json.loads((tmp_path / "a" / "report.json").read_text())
    assert set(records[0]) == {
        *("task", "split", "language", "metric", "value", "examples"),
        *("intermediate", "seed", "encoder", "version"),
    }
    assert {r["intermediate"] for r in records} == {"none", *tokens}
    assert {r["language"] for r in records if r["task"] == "udpos"} == set(synthetic.LANGUAGES)
    pictures = [f"validation-{name}.png" for name in ("targets", "languages", "gaps")]
    for name in ("timings.json", "report.md", "report.html", *pictures):
        assert (tmp_path / "a" / name).stat().st_size > 0

    # the same run elsewhere gives the same bytes; the same run here runs nothing again
    recipe(monkeypatch, tmp_path / "b", "--intermediate", *tokens, "--targets", "udpos", "tatoeba")
    assert (tmp_path / "a" / "report.json").read_bytes() == (
        tmp_path / "b" / "report.json"
    ).read_bytes()
    before = (tmp_path / "a" / "timings.json").read_bytes()
    capsys.readouterr()
    recipe(monkeypatch, tmp_path / "a", "--intermediate", *tokens, "--targets", "udpos", "tatoeba")
    assert "8 stages, 8 of them done already" in capsys.readouterr().out
    assert (tmp_path / "a" / "timings.json").read_bytes() == before


@pytest.mark.slow
def test_recipe_trains_every_xtreme_target(world, monkeypatch, tmp_path):
    recipe(
        monkeypatch,
        tmp_path,
        "--intermediate",
        "none",
        "--languages",
        "en",
        "de",
        "--split",
        "test",
    )
    report = jx.Report.from_json(tmp_path / "report.json")
    assert set(report.mean(by="task")) == set(jx.XTREME)


@pytest.mark.slow
def test_without_matplotlib_the_rest_is_written(world, monkeypatch, tmp_path, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    recipe(monkeypatch, tmp_path, "--intermediate", "none", "--targets", "tatoeba")
    assert "pip install jiantx[plots]" in capsys.readouterr().out
    assert (tmp_path / "report.html").exists() and not list(tmp_path.glob("*.png"))


@pytest.mark.slow
def test_flags_hold_for_one_stage(world, monkeypatch, tmp_path):
    arguments = ["--intermediate", "mnli", "--targets", "pawsx", "--languages", "en"]
    recipe(
        monkeypatch,
        tmp_path,
        *arguments,
        "--intermediate.max_steps",
        1,
        "--target.learning_rate",
        "0.5",
    )
    stages = [json.loads(path.read_text()) for path in tmp_path.glob("stages/*/stage.json")]
    passed = {stage["name"]: stage["inputs"]["arguments"] for stage in stages}
    assert (
        passed["mnli, seed 1"]["max_steps"] == 1 and passed["mnli, seed 1"]["learning_rate"] != 0.5
    )
    (of_target,) = passed["mnli -> pawsx, seed 1"]
    assert of_target["max_steps"] == 2 and of_target["learning_rate"] == 0.5


@pytest.mark.slow
def test_shards_make_the_table_of_one(world, monkeypatch, tmp_path, capsys):
    rows = [
        "--intermediate",
        "mnli",
        "mnli[de]+mlm",
        "--targets",
        "pawsx",
        "tatoeba",
        "--languages",
        "en",
        "de",
    ]
    recipe(monkeypatch, tmp_path / "one", *rows)
    for item in ("2/2", "1/2"):
        capsys.readouterr()
        recipe(monkeypatch, tmp_path / "two", *rows, "--shard", item)
        page = (tmp_path / "two" / "report.md").read_text()
        assert ("not done yet" in page) == ("No table: the row `none`" in page) == (item == "2/2")
    for name in ("report.json", "validation-targets.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_processes_at_once_one_of_them_killed_make_the_table_of_one(world, tmp_path):
    rows = [
        "--intermediate",
        "mnli",
        "qqp",
        "--targets",
        "pawsx",
        "tatoeba",
        "--languages",
        "en",
        "de",
        "--max_steps",
        "2",
    ]
    common = ["--data-root", jx.default_root(), "--encoder", jx.default_encoder(), *rows]

    def start(folder, *more):
        command = [sys.executable, RECIPE, *common, "--output", tmp_path / folder, *more]
        return subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    first, second = (start("two", "--shard", item) for item in ("1/2", "2/2"))
    while first.poll() is None and not list((tmp_path / "two").glob("stages/*/stage.json")):
        time.sleep(0.01)
    first.kill()
    assert (
        second.wait(300) == 0 and start("one").wait(300) == 0 and first.wait(300) == -signal.SIGKILL
    )
    assert start("two", "--shard", "1/2").wait(300) == 0
    pages = [(tmp_path / folder / "report.md").read_text() for folder in ("one", "two")]
    assert "not done yet" not in pages[0] + pages[1]
    for name in ("report.json", "validation-targets.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_best_rows_and_few_shots(world, monkeypatch, tmp_path):
    arguments = [
        "--intermediate",
        "mnli",
        "--targets",
        "pawsx",
        "--split",
        "validation",
        "test",
        "--languages",
        "de",
    ]
    recipe(
        monkeypatch,
        tmp_path,
        *arguments,
        "--target-train-languages",
        "de",
        "--shots",
        4,
        "--adapt",
        "frozen",
    )
    page = (tmp_path / "report.md").read_text()
    assert "The best intermediate task for each target" in page and "| pawsx | " in page
    assert "One seed says nothing of chance" in page


@pytest.mark.slow
def test_a_plan_runs_nothing(world, monkeypatch, tmp_path, capsys):
    recipe(
        monkeypatch,
        tmp_path / "out",
        "--targets",
        "pawsx",
        "tatoeba",
        "--languages",
        "de",
        "--plan",
    )
    printed = capsys.readouterr().out
    assert (
        "mnli -> pawsx, seed 1" in printed
        and "still to run" in printed
        and "parameters without" in printed
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "3"], "Use --seeds"),
        (["--output_dir", "x"], "Use --output"),
        (["--target.seed=3"], "Use --seeds"),
        (["--learning_rat", "1"], "--learning_rat"),
        (["--inter", "mnli"], "--inter"),
        (["--intermediate", "mnli["], "is no row"),
        (["--shard", "3/2"], "the part must be 1 to 2"),
        (["--shots", "5"], "--target-train-languages"),
        (["--intermediate", "mnlli"], "Did you mean 'mnli'"),
        (["--targets", "xnil"], "Did you mean 'xnli'"),
    ],
)
def test_wrong_flags_are_refused_before_anything_runs(
    monkeypatch, tmp_path, capsys, arguments, message
):
    with pytest.raises(SystemExit):
        run(monkeypatch, RECIPE, "--output", tmp_path / "out", *arguments)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--targets", "pawsx", "--languages", "sw"],
            "pawsx (labelled validation rows in these languages)",
        ),
        (
            ["--data-root", "{empty}"],
            "xnli (training rows of mnli)|xnli (labelled validation rows in these languages)",
        ),
        (["--data-root", "{empty}/absent"], "is not a folder"),
    ],
)
def test_what_cannot_run_is_said_before_anything_is_trained(
    world, monkeypatch, tmp_path, arguments, message
):
    arguments = [argument.replace("{empty}", str(tmp_path)) for argument in arguments]
    with pytest.raises(SystemExit) as stopped:
        recipe(monkeypatch, tmp_path / "out", *arguments)
    assert any(item in str(stopped.value) for item in message.split("|"))
    assert not (tmp_path / "out" / "stages").exists()


@pytest.mark.slow
def test_new_task(world, monkeypatch, tmp_path, capsys):
    from jiantx.tasks import TASKS

    run(monkeypatch, str(ROOT / "examples" / "new_task.py"), "--max-steps", 2, "--output", tmp_path)
    TASKS._values.pop("mood")
    printed = capsys.readouterr().out
    assert "| mood |" in printed and "| udpos |" in printed and "the gloomy potter" in printed


def test_registering_a_task_takes_under_15_lines():
    text = (ROOT / "examples" / "new_task.py").read_text()
    assert len(re.search(r"^mood = .*?^\)", text, re.M | re.S).group().splitlines()) < 15


@pytest.mark.slow
def test_readme_example(world, monkeypatch, tmp_path, capsys):
    code, more = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert all(hasattr(jx, name) for name in re.findall(r"\bjx\.(\w+)", more))
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("max_steps=50", "max_steps=2"), "README.md", "exec"), {})
    assert "| xnli |" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "hub").is_dir(), reason="needs ../shared: real slices and a small encoder"
)
def test_recipe_on_real_rows(monkeypatch, tmp_path):
    arguments = [
        "--data-root",
        SHARED / "hub",
        "--encoder",
        SHARED / "models" / "tiny-xlm",
        "--max-train-examples",
        8,
    ]
    targets = ["pawsx", "udpos", "tatoeba"]
    recipe(
        monkeypatch,
        tmp_path,
        *arguments,
        "--intermediate",
        "hellaswag",
        "--targets",
        *targets,
        "--languages",
        "de",
    )
    report = jx.Report.from_json(tmp_path / "report.json")
    assert set(report.where(intermediate="hellaswag").mean(by="task")) == set(targets)


def test_examples_use_public_names_only():
    for path in (ROOT / "examples").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) jiantx\.", path.read_text(), re.M), path
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
