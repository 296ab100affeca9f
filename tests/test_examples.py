"""The example programs and the README's example run, on a world small enough for a test."""

import json
import os
import re
import runpy
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from forks import fork, wait

import jiantx as jx
from jiantx import synthetic

ROOT = Path(__file__).parents[1]
RECIPE = str(ROOT / "examples" / "intermediate_then_target.py")
SHARED = ROOT.parent / "shared"


def run(monkeypatch, program, *arguments):
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    runpy.run_path(program, run_name="__main__")


def recipe(monkeypatch, output, flags, *arguments):
    """Run the recipe's program, two steps for each training.

    Args:
        monkeypatch: Sets the command line.
        output: The folder of results.
        flags: Part of the command line, as typed.
        *arguments: Further arguments, which may contain blanks.
    """
    common = ["--max_steps", "2", "--disable_tqdm", "true", "--output", output]
    run(monkeypatch, RECIPE, *common, *flags.split(), *arguments)


# --- the recipe: results --------------------------------------------------------------------------


@pytest.mark.slow
def test_recipe_on_the_default_world(world, monkeypatch, tmp_path, capsys):
    flags = "--intermediate mnli mnli+squad_v1+hellaswag --targets udpos tatoeba"
    first = tmp_path / "a"
    recipe(monkeypatch, first, flags)
    printed = capsys.readouterr().out
    for text in ("none", "mnli+squad_v1+hellaswag", "average"):
        assert text in printed
    records = json.loads((first / "report.json").read_text())
    score = {"task", "split", "language", "metric", "value", "examples"}
    assert set(records[0]) == score | {"intermediate", "seed", "encoder", "version"}
    rows = {record["intermediate"] for record in records}
    assert rows == {"none", "mnli", "mnli+squad_v1+hellaswag"}
    languages = {record["language"] for record in records if record["task"] == "udpos"}
    assert languages == set(synthetic.LANGUAGES)
    pictures = [f"validation-{name}.png" for name in ("targets", "languages", "gaps")]
    for name in ("timings.json", "report.md", "report.html", *pictures):
        assert (first / name).stat().st_size > 0

    # the same run in another folder writes the same bytes
    recipe(monkeypatch, tmp_path / "b", flags)
    report = (first / "report.json").read_bytes()
    assert report == (tmp_path / "b" / "report.json").read_bytes()

    # the same run in the same folder trains nothing
    timings = (first / "timings.json").read_bytes()
    capsys.readouterr()
    recipe(monkeypatch, first, flags)
    assert "8 stages, 8 of them done already" in capsys.readouterr().out
    assert (first / "timings.json").read_bytes() == timings


@pytest.mark.slow
def test_recipe_trains_every_xtreme_target(world, monkeypatch, tmp_path):
    recipe(monkeypatch, tmp_path, "--intermediate none --languages en de --split test")
    report = jx.Report.from_json(tmp_path / "report.json")
    assert set(report.mean(by="task")) == set(jx.XTREME)


@pytest.mark.slow
def test_without_matplotlib_all_but_pictures_is_written(world, monkeypatch, tmp_path, capsys):
    for name in list(sys.modules):
        if name.partition(".")[0] == "matplotlib":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    recipe(monkeypatch, tmp_path, "--intermediate none --targets tatoeba")
    assert "pip install jiantx[plots]" in capsys.readouterr().out
    assert (tmp_path / "report.html").exists()
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.slow
def test_training_flags_hold_for_one_kind_of_training(world, monkeypatch, tmp_path):
    flags = "--intermediate mnli --targets pawsx --languages en"
    flags += " --intermediate.max_steps 1 --target.learning_rate 0.5"
    recipe(monkeypatch, tmp_path, flags)
    stages = [json.loads(path.read_text()) for path in tmp_path.glob("stages/*/stage.json")]
    arguments = {stage["name"]: stage["inputs"]["arguments"] for stage in stages}
    intermediate = arguments["mnli, seed 1"]
    assert intermediate["max_steps"] == 1
    assert intermediate["learning_rate"] != 0.5
    (target,) = arguments["mnli -> pawsx, seed 1"]
    assert target["max_steps"] == 2
    assert target["learning_rate"] == 0.5


@pytest.mark.slow
def test_the_best_rows_and_few_shots(world, monkeypatch, tmp_path):
    flags = "--intermediate mnli --targets pawsx --split validation test --languages de"
    flags += " --target-train-languages de --shots 4 --adapt frozen"
    recipe(monkeypatch, tmp_path, flags)
    page = (tmp_path / "report.md").read_text()
    assert "The best intermediate task for each target" in page
    assert "| pawsx | " in page
    assert "With fewer than two seeds, no difference can be tested." in page


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "hub").is_dir(), reason="needs ../shared: real slices and a small encoder"
)
def test_recipe_on_real_rows(monkeypatch, tmp_path):
    flags = "--max-train-examples 4 --eval-rows 8 --intermediate hellaswag --languages de"
    flags += " --per_device_train_batch_size 2 --targets pawsx udpos tatoeba"
    folders = ["--data-root", SHARED / "hub", "--encoder", SHARED / "models" / "tiny-xlm"]
    recipe(monkeypatch, tmp_path, flags, *folders)
    report = jx.Report.from_json(tmp_path / "report.json")
    scored = report.where(intermediate="hellaswag").mean(by="task")
    assert set(scored) == {"pawsx", "udpos", "tatoeba"}


# --- the recipe: several processes ----------------------------------------------------------------

SAME_FILES = ("report.json", "validation-targets.png")


@pytest.mark.slow
def test_shards_make_the_table_of_one_process(world, monkeypatch, tmp_path):
    flags = "--intermediate mnli mnli[de]+mlm --targets pawsx tatoeba --languages en de"
    recipe(monkeypatch, tmp_path / "one", flags)
    sharded = tmp_path / "two"
    recipe(monkeypatch, sharded, f"{flags} --shard 2/2")
    page = (sharded / "report.md").read_text()
    assert "not done yet" in page
    assert "No table: the baseline row `none`" in page
    recipe(monkeypatch, sharded, f"{flags} --shard 1/2")
    page = (sharded / "report.md").read_text()
    assert "not done yet" not in page
    assert "No table" not in page
    for name in SAME_FILES:
        assert (tmp_path / "one" / name).read_bytes() == (sharded / name).read_bytes()


@pytest.mark.slow
def test_processes_at_once_one_of_them_killed_make_the_table_of_one(world, monkeypatch, tmp_path):
    flags = "--intermediate mnli qqp --targets pawsx tatoeba --languages en de"

    def start(output, *arguments):
        job = partial(recipe, monkeypatch, tmp_path / output, flags, *arguments)
        return fork(job, tmp_path / f"{output}.error")

    killed = start("two", "--shard", "1/2")
    other = start("two", "--shard", "2/2")
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while not list((tmp_path / "two").glob("stages/*/stage.json")):
        assert not os.waitid(os.P_PID, killed, ended), (tmp_path / "two.error").read_text()
        time.sleep(0.01)
    os.kill(killed, signal.SIGKILL)
    assert wait(other) == 0
    assert wait(start("one")) == 0
    assert wait(killed) == -signal.SIGKILL
    assert wait(start("two", "--shard", "1/2")) == 0
    for output in ("one", "two"):
        assert "not done yet" not in (tmp_path / output / "report.md").read_text()
    for name in SAME_FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# --- the recipe: plans and errors -----------------------------------------------------------------


@pytest.mark.slow
def test_a_plan_runs_nothing(world, monkeypatch, tmp_path, capsys):
    flags = "--targets pawsx tatoeba --languages de --plan"
    recipe(monkeypatch, tmp_path / "out", flags)
    printed = capsys.readouterr().out
    for text in ("mnli -> pawsx, seed 1", "still to run", "parameters without"):
        assert text in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--seed 3", "Use --seeds"),
        ("--output_dir x", "Use --output"),
        ("--target.seed=3", "Use --seeds"),
        ("--learning_rat 1", "--learning_rat"),
        ("--inter mnli", "--inter"),
        ("--intermediate mnli[", "is no row"),
        ("--shard 3/2", "the part must be 1 to 2"),
        ("--shots 5", "--target-train-languages"),
        ("--intermediate mnlli", "Did you mean 'mnli'"),
        ("--targets xnil", "Did you mean 'xnli'"),
    ],
)
def test_wrong_flags_are_refused_before_anything_runs(
    monkeypatch, tmp_path, capsys, flags, message
):
    with pytest.raises(SystemExit):
        run(monkeypatch, RECIPE, "--output", tmp_path / "out", *flags.split())
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "messages"),
    [
        (
            "--targets pawsx --languages sw",
            ["pawsx (labelled validation rows in these languages)"],
        ),
        (
            "--data-root {empty}",
            [
                "xnli (training rows of mnli)",
                "xnli (labelled validation rows in these languages)",
            ],
        ),
        ("--data-root {empty}/absent", ["is not a folder"]),
    ],
)
def test_missing_data_are_reported_before_anything_is_trained(
    world, monkeypatch, tmp_path, flags, messages
):
    with pytest.raises(SystemExit) as stopped:
        recipe(monkeypatch, tmp_path / "out", flags.replace("{empty}", str(tmp_path)))
    assert any(message in str(stopped.value) for message in messages)
    assert not (tmp_path / "out" / "stages").exists()


# --- other examples -------------------------------------------------------------------------------


@pytest.mark.slow
def test_new_task(world, monkeypatch, tmp_path, capsys):
    from jiantx.tasks import TASKS

    run(monkeypatch, str(ROOT / "examples" / "new_task.py"), "--max-steps", 2, "--output", tmp_path)
    TASKS._values.pop("mood")
    printed = capsys.readouterr().out
    for text in ("| mood |", "| udpos |", "the gloomy potter"):
        assert text in printed


@pytest.mark.slow
def test_new_task_type(world, monkeypatch, tmp_path, capsys):
    from jiantx.heads import HEADS

    program = str(ROOT / "examples" / "new_task_type.py")
    run(monkeypatch, program, "--max-steps", 60, "--output", tmp_path)
    HEADS._values.pop("grading")
    printed = capsys.readouterr().out
    scores = re.search(r"\| alike \|.*\| (\S+) \|", printed)
    assert scores and float(scores.group(1)) > 5  # without training it is near 0
    assert re.search(r"[0-5] of 5", printed)


def test_registering_a_task_takes_under_15_lines():
    text = (ROOT / "examples" / "new_task.py").read_text()
    registration = re.search(r"^mood = .*?^\)", text, re.M | re.S)
    assert registration and len(registration.group().splitlines()) < 15


@pytest.mark.slow
def test_readme_example(world, monkeypatch, tmp_path, capsys):
    text = (ROOT / "README.md").read_text()
    code, sketch = re.findall(r"```python\n(.*?)```", text, re.S)
    assert all(hasattr(jx, name) for name in re.findall(r"\bjx\.(\w+)", sketch))
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    monkeypatch.chdir(tmp_path)
    quick = re.sub(r"max_steps=\d+", "max_steps=2", code)
    assert quick != code
    exec(compile(quick, "README.md", "exec"), {})
    assert "| xnli |" in capsys.readouterr().out


def test_examples_use_public_names_only():
    for path in (ROOT / "examples").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) jiantx\.", path.read_text(), re.M), path
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
