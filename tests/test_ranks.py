"""Several processes are one run.

`run_on_ranks` runs the functions below, and `launched` starts this file under torchrun.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import disturb
import pytest
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from conftest import ModelOf, _tiny_tasks, classified
from ranks import run_on_ranks
from test_trainer import arguments
from torch.distributed.tensor import DTensor
from transformers import DistributedConfig, TrainerCallback

import jiantx as jx
from jiantx.heads import HeadOutput

pytestmark = pytest.mark.slow

BATCH, STEPS = 24, 6  # examples of a step on all ranks
WEIGHTED: dict[str, Any] = {  # of the mixed runs
    "losses": {
        "mood": jx.FocalLoss(class_weights="balanced"),
        "entities": jx.CrossEntropy(class_weights={"O": 0.3}, label_smoothing=0.1),
    },
    "learning_rates": {"heads": 1e-3},
    "layer_decay": 0.9,
}


def tasks_of() -> dict[str, jx.Task]:
    """All kinds; `few` shares the head of `mood`, has fewer rows than a batch, and one in German."""
    tiny = _tiny_tasks()
    rows = {
        "train": classified(5, seed=2),
        "validation": {"en": classified(5, seed=3), "de": classified(1, "de")},
    }
    few = tiny["classification"].replace(name="few", head="mood", source=jx.Rows(rows))
    return {**tiny, "few": few}


def trained_of() -> list[jx.Task]:
    """Without retrieval: its negatives are those of the micro-batch."""
    return [tasks_of()[kind] for kind in ("classification", "few", "tagging", "qa", "mlm")]


def history(trainer: jx.Trainer) -> list[dict[str, float]]:
    return [logged for logged in trainer.state.log_history if "train_runtime" not in logged]


# --- on every rank --------------------------------------------------------------------------------


class Seen(jx.Trainer):
    """Remembers the tasks of each micro-batch."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        self.seen = [
            *getattr(self, "seen", []),
            [sub_batch["task"] for sub_batch in inputs.get("sub_batches", [inputs])],
        ]
        return super().compute_loss(model, inputs, *args, **kwargs)


Curve = tuple[list[dict[str, float]], list[list[str]]]


def curve(folder: Path, name: str, *, mix: int = 1, **kwargs: Any) -> Curve:
    """The logs of a run and the tasks of its micro-batches.

    Precise: AdamW makes full steps of rounding errors.
    """
    tasks = trained_of()
    model = jx.MultitaskModel.from_pretrained(
        folder / "model", tasks, dtype=torch.float64, **kwargs
    )
    return trained(model, tasks, folder / name, mix, adam_epsilon=1e-4)


def lower(folder: Path, name: str, **kwargs: Any) -> Curve:
    """The same, for one head that reads a lower layer."""
    tasks = [tasks_of()["retrieval"].replace(layer=1)]
    model = jx.MultitaskModel.from_pretrained(folder / "model", tasks, heads="new", **kwargs)
    return trained(model, tasks, folder / name, optim="sgd")


def trained(
    model: jx.MultitaskModel, tasks: list[jx.Task], folder: Path, mix: int = 1, **changes: Any
) -> Curve:
    changes |= {
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 3,
        "gradient_accumulation_steps": mix,
    }
    size = BATCH // PartialState().num_processes // mix
    args = arguments(folder, max_steps=STEPS, per_device_train_batch_size=size, **changes)
    sampling = jx.Sampling(exponent=0, mix=mix)
    settings = WEIGHTED if mix > 1 else {}
    trainer = Seen(model, args, tasks=tasks, sampling=sampling, **settings)
    trainer.train()
    trainer.save_model(str(folder / "model"))
    return history(trainer), trainer.seen


def scores(folder: Path, name: str, **kwargs: Any) -> list[Any]:
    """Of every task and language, an odd number of rows among them."""
    tasks = list(tasks_of().values())
    model = jx.MultitaskModel.from_pretrained(folder / "model", **kwargs)
    report = jx.evaluate(model, tasks, batch_size=4, predictions=folder / name)
    swept = jx.evaluate(model, [task for task in tasks if task.name == "pairing"], layers=(0, 1, 2))
    rows = [[s.task, s.language, s.metric, s.examples, s.value] for s in (report + swept).records]
    task = tasks_of()["tagging"]
    predictions = jx.predict(model, task, list(task.rows("train"))[:3])
    return [*rows, *([prediction.id, list(prediction.value)] for prediction in predictions)]


def probes(folder: Path) -> list[Any]:
    """Scores and mixes, and how many files of states there are; from states that nobody stored."""
    ranks = PartialState().num_processes
    cache = folder / f"states{ranks}"
    args = arguments(
        folder / f"probes{ranks}",
        max_steps=STEPS,
        per_device_train_batch_size=BATCH // ranks,
        optim="sgd",
        learning_rate=0.05,
    )
    tasks = [tasks_of()[kind] for kind in ("classification", "tagging")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JIANTX_CACHE", str(cache))
        report = jx.probe(folder / "model", tasks, args)
    files = sorted(path.name for path in (cache / "states").iterdir())
    return [files, [[s.task, s.language, s.metric, s.value] for s in report]]


def distributed_data_parallel(folder: Path) -> None:
    ranks = PartialState().num_processes
    results: dict[str, Any] = {
        "probes": probes(folder),
        "plain": curve(folder, f"plain{ranks}"),
        "mixed": curve(folder, f"mixed{ranks}", mix=2),
        "scores": scores(folder, f"scores{ranks}"),
    }
    empty = tasks_of()["few"].replace(
        source=jx.Rows({"train": classified(4), "validation": {"de": []}})
    )
    model = jx.MultitaskModel.from_pretrained(folder / "model")
    with pytest.raises(jx.DataError) as error:
        jx.evaluate(model, [empty])
    results["empty"] = str(error.value)
    results["poisoned"] = poisoned(folder)
    if ranks == 2:
        results["lower"] = lower(folder, "lower2")
        with pytest.raises(
            ValueError, match=r"accelerate ignores `fsdp`.*DistributedConfig\(fsdp_size=2\)"
        ):
            jx.Trainer(model, arguments(folder, fsdp=True), tasks=trained_of())
        results["lasting"] = lasting(folder)
        compact_embeddings(folder, "sparse2", sparse=True)
    tell(folder / f"distributed_data_parallel{ranks}.json", results)


def fully_sharded(folder: Path) -> None:
    sharding = {"distributed_config": DistributedConfig(fsdp_size=PartialState().num_processes)}
    model = jx.MultitaskModel.from_pretrained(folder / "model", **sharding)
    parameters = list(model.parameters())
    assert all(isinstance(parameter, DTensor) for parameter in parameters)
    local_size, full_size = (
        sum(p.numel() for p in tensors)
        for tensors in ([p.to_local() for p in parameters], parameters)
    )
    assert 0.4 < local_size / full_size < 0.6
    for export in (model.save_encoder, lambda path: model.export(tasks_of()["tagging"], path)):
        with pytest.raises(ValueError, match="sharded over ranks: save_pretrained on all of them"):
            export(folder / "exported")
    best = {
        "load_best_model_at_end": True,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "save_only_model": True,
    }
    with pytest.raises(
        ValueError, match="load_best_model_at_end: transformers loads no checkpoint into"
    ):
        jx.Trainer(model, arguments(folder, **best), tasks=trained_of())
    with pytest.raises(
        ValueError, match=r"Resuming from .*checkpoint-8: transformers loads no checkpoint into"
    ):
        jx.Trainer(model, arguments(folder / "killed"), tasks=trained_of()).train(
            resume_from_checkpoint=True
        )
    results: dict[str, Any] = {
        "scores": scores(folder, "sharded-scores", **sharding),
        "plain": curve(folder, "sharded-plain", **sharding),
        "mixed": curve(folder, "sharded-mixed", mix=2, **sharding),
        "lower": lower(folder, "sharded-lower", **sharding),
    }
    tell(folder / "fully_sharded2.json", results)


def a_table(folder: Path) -> None:
    """A recipe, twice: what its stages leave is there once, and all ranks read it."""
    for _ in range(2):
        disturb.run(folder / "table", str(folder / "encoder"))
    report = jx.Report.from_json(folder / "table" / "out" / "report.json")
    tell(folder / "a_table2.json", sorted((s.task, s.language, s.metric) for s in report))


class At(TrainerCallback):
    """Does something at the end of a step."""

    def __init__(self, step: int, does: Callable[[Any], object]) -> None:
        self.step, self.does = step, does

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            self.does(control)


def long_run(folder: Path, *callbacks: TrainerCallback) -> jx.Trainer:
    """A trainer with dropout and checkpoints."""
    tasks = [tasks_of()[kind] for kind in ("classification", "tagging")]
    model = jx.MultitaskModel.from_pretrained(folder.parent / "dropout", tasks)
    args = arguments(folder, save_strategy="steps", save_steps=2, logging_steps=2)
    return jx.Trainer(model, args, tasks=tasks, callbacks=list(callbacks))


def dying(folder: Path) -> None:
    """The last rank is killed after step 5."""

    def kill_the_last(control: Any) -> None:
        if PartialState().is_last_process:
            os.kill(os.getpid(), signal.SIGKILL)

    long_run(folder / "killed", At(5, kill_the_last)).train()


def lasting(folder: Path) -> dict[str, Any]:
    """The run that was killed, resumed, beside one that was not."""
    straight, resumed = long_run(folder / "straight"), long_run(folder / "killed")
    straight.train()
    resumed.train(resume_from_checkpoint=True)
    same = zip(straight.model.parameters(), resumed.model.parameters(), strict=True)
    return {
        "straight": history(straight),
        "resumed": history(resumed),
        "equal": all(torch.equal(one, other) for one, other in same),
    }


def poisoned(folder: Path) -> str:
    """What is raised where the loss of one rank is no number at the third step."""
    task = tasks_of()["classification"]
    model = jx.MultitaskModel.from_pretrained(folder / "model", [task])
    trainer = jx.Trainer(model, arguments(folder / "poisoned"), tasks=[task])

    def spoil(module: Any, inputs: Any, output: HeadOutput) -> None:
        if trainer.state.global_step == 2 and PartialState().is_last_process:
            assert output.loss is not None
            output.loss = output.loss * float("nan")

    model.heads["mood"].register_forward_hook(spoil)
    with pytest.raises(FloatingPointError) as error:
        trainer.train()
    return str(error.value)


def compact_embeddings(folder: Path, name: str, *, sparse: bool) -> None:
    """Train with weight decay; a second rank begins with other embeddings, which DDP replaces."""
    tasks = [tasks_of()[kind] for kind in ("classification", "tagging")]
    model = jx.MultitaskModel.from_pretrained(folder / "model", tasks, dtype=torch.float64)
    if not PartialState().is_main_process:
        model.get_input_embeddings().weight.data.fill_(0.5)
    size = BATCH // PartialState().num_processes
    args = arguments(
        folder / name,
        max_steps=STEPS,
        per_device_train_batch_size=size,
        weight_decay=0.5,
        adam_epsilon=1e-4,
    )
    trainer = jx.Trainer(model, args, tasks=tasks, sparse_embeddings=sparse)
    trainer.train()
    trainer.save_model(str(folder / name / "model"))
    sums = gather_object([float(model.get_input_embeddings().weight.detach().sum())])
    assert sums == sums[:1] * len(sums), "all ranks have the same"


def tell(path: Path, found: Any) -> None:
    """Write what rank 0 found; every rank found the same."""
    text = json.dumps(found)
    assert set(gather_object([text])) == {text}
    if PartialState().is_main_process:
        path.write_text(text)


# --- in one process -------------------------------------------------------------------------------


def launched(number: int, folder: Path, job: Callable[[Path], None]) -> int:
    """The exit status of torchrun, which runs this file."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={number}", __file__, str(folder), job.__name__]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    ran = subprocess.run(command, check=False, capture_output=True, timeout=300, env=environment)
    return ran.returncode


def told(number: int, folder: Path, *does: Callable[[Path], None]) -> list[Any]:
    """What each function told; one start for them all."""
    run_on_ranks(number, folder, *does)
    return [json.loads((folder / f"{job.__name__}{number}.json").read_text()) for job in does]


@pytest.fixture(scope="module")
def folder(model_of: ModelOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks")
    model = model_of(list(tasks_of().values()))
    model.save_pretrained(path / "model")
    model.save_encoder(path / "encoder")
    model_of(list(tasks_of().values()), hidden_dropout_prob=0.1).save_pretrained(path / "dropout")
    return path


@pytest.fixture(scope="module")
def one(folder: Path) -> dict[str, Any]:
    """What one process finds."""
    results = {
        "probes": probes(folder),
        "plain": curve(folder, "plain1"),
        "mixed": curve(folder, "mixed1", mix=2),
        "scores": scores(folder, "scores1"),
    }
    return dict(json.loads(json.dumps(results)))


@pytest.fixture(scope="module")
def killed(folder: Path) -> tuple[int, float]:
    """The exit status of a run whose last rank was killed, and how long it took."""
    start = time.monotonic()
    return launched(2, folder, dying), time.monotonic() - start


@pytest.fixture(scope="module")
def on_two(folder: Path, killed: tuple[int, float]) -> list[Any]:
    return told(2, folder, distributed_data_parallel, fully_sharded, a_table)


@pytest.fixture(scope="module")
def two(on_two: list[Any]) -> Any:
    return on_two[0]


@pytest.fixture(scope="module")
def sharded(on_two: list[Any]) -> Any:
    return on_two[1]


@pytest.fixture(scope="module")
def three(folder: Path) -> dict[str, Any]:
    return told(3, folder, distributed_data_parallel)[0]


def assert_same_run(found: list[Any], expected: list[Any]) -> None:
    (logs, seen), (expected_logs, expected_seen) = found, expected
    assert seen == expected_seen  # the same tasks at each step
    for logged, wanted in zip(logs, expected_logs, strict=True):
        assert logged == pytest.approx(wanted, abs=1e-5, rel=1e-5)


def assert_same_weights(one: Path, other: Path) -> None:
    weights, expected_weights = (
        jx.MultitaskModel.from_pretrained(path / "model").state_dict() for path in (one, other)
    )
    for name, value in weights.items():
        torch.testing.assert_close(expected_weights[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["plain", "mixed"])
@pytest.mark.parametrize("ranks", ["two", "three", "sharded"])
def test_ranks_are_one_batch(
    ranks: str, kind: str, one, folder: Path, request: pytest.FixtureRequest
) -> None:
    """Also where heads sit out a step, share their parameters, and a task has fewer rows than a
    batch.
    """
    assert_same_run(request.getfixturevalue(ranks)[kind], one[kind])
    name = {"two": f"{kind}2", "three": f"{kind}3", "sharded": f"sharded-{kind}"}[ranks]
    assert_same_weights(folder / f"{kind}1", folder / name)


@pytest.mark.parametrize("ranks", ["two", "three", "sharded"])
def test_ranks_give_the_scores_of_one(
    ranks: str, one, folder: Path, request: pytest.FixtureRequest
) -> None:
    """No row is scored twice to fill up a rank."""
    for actual, expected in zip(
        request.getfixturevalue(ranks)["scores"], one["scores"], strict=True
    ):
        assert actual[:-1] == expected[:-1] and actual[-1] == pytest.approx(expected[-1], abs=1e-3)
    name = {"two": "scores2", "three": "scores3", "sharded": "sharded-scores"}[ranks]
    files = sorted((folder / "scores1").iterdir())
    assert [path.name for path in files] == [
        path.name for path in sorted((folder / name).iterdir())
    ]
    for path in files:
        ids, expected = (
            [
                json.loads(line)["id"]
                for line in (folder / where / path.name).read_text().splitlines()
            ]
            for where in (name, "scores1")
        )
        assert ids == expected


@pytest.mark.parametrize("ranks", ["two", "three"])
def test_ranks_store_states_once_and_probe_as_one(
    ranks: str, one, request: pytest.FixtureRequest
) -> None:
    files, scores_of_ranks = request.getfixturevalue(ranks)["probes"]
    expected_files, expected_scores = one["probes"]
    assert files == expected_files and files
    for actual, expected in zip(scores_of_ranks, expected_scores, strict=True):
        assert actual[:-1] == expected[:-1] and actual[-1] == pytest.approx(expected[-1], abs=1e-3)


def test_embeddings_that_are_used_are_those_of_all_ranks(two, folder: Path) -> None:
    compact_embeddings(folder, "dense1", sparse=False)
    assert_same_weights(folder / "dense1", folder / "sparse2")


def test_an_empty_language_is_an_error_on_all_ranks(two, three) -> None:
    assert "'de': there are no rows" in two["empty"] and two["empty"] == three["empty"]


def test_a_loss_that_is_no_number_on_one_rank_ends_all(two, three) -> None:
    assert "The loss of step 2 is not finite: task 'mood'" in two["poisoned"]
    assert "The loss of step 2 is not finite: task 'mood'" in three["poisoned"]


def test_layers_above_a_head_take_no_part(two, sharded) -> None:
    assert_same_run(sharded["lower"], two["lower"])
    assert [
        step["loss_pairing"] if "loss_pairing" in step else step.get("loss")
        for step in two["lower"][0]
    ]


def test_a_rank_that_dies_ends_the_job(killed: tuple[int, float]) -> None:
    status, seconds = killed
    assert status != 0 and seconds < 100


def test_killed_ranks_resume_exactly(two) -> None:
    result = two["lasting"]
    assert result["equal"] and result["resumed"] == result["straight"]


def test_ranks_run_stages_together(on_two: list[Any], folder: Path, tmp_path: Path) -> None:
    disturb.run(tmp_path / "table", str(folder / "encoder"))
    report = jx.Report.from_json(tmp_path / "table" / "out" / "report.json")
    assert on_two[2] == sorted([s.task, s.language, s.metric] for s in report)


if __name__ == "__main__":
    torch.set_num_threads(1)
    PartialState(cpu=True)
    for item in sys.argv[2:]:
        globals()[item](Path(sys.argv[1]))
    # a rank that ends alone may abort the other, whose threads still wait for it
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
