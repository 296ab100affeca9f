"""Training only the embeddings that the data use gives what training all of them gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ModelOf
from test_trainer import Stop, arguments, history, said
from torch import Tensor, nn
from transformers import TrainerCallback

import jiantx as jx
from jiantx import trainer_embeddings
from jiantx.checkpoints import run_of, write_manifest
from jiantx.heads.pooled import ClassificationHead
from jiantx.model.used_embeddings import UsedEmbeddings

pytestmark = pytest.mark.slow
__all__ = ["said"]

State = dict[str, Tensor]
DECAY: dict[str, Any] = {"weight_decay": 0.1}


def state_of(model: jx.MultitaskModel) -> State:
    return {name: value.clone() for name, value in model.state_dict().items()}


def trained_rows(trainer: jx.Trainer) -> int:
    """How many embeddings the optimizer holds."""
    size = trainer.model.get_input_embeddings().weight.shape[1]
    moments = [state["exp_avg"] for state in trainer.optimizer.state_dict()["state"].values()]
    # the first of the parameters is the embeddings'
    assert moments[0].shape[1] == size
    return len(moments[0])


def assert_close(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0, msg=name)


def assert_unused_rows_moved(before: Tensor, after: Tensor, trainer: jx.Trainer) -> None:
    """That the comparison is of something: rows outside the data have decayed."""
    changed = int((before != after).any(dim=1).sum())
    assert changed > trained_rows(trainer)


@pytest.fixture
def tasks(tiny_tasks: dict[str, jx.Task]) -> list[jx.Task]:
    """Two tasks that use few of the tokenizer's pieces."""
    return [tiny_tasks["classification"], tiny_tasks["tagging"]]


class Runs:
    """Makes trainers of both kinds, which start from the same weights."""

    def __init__(self, model_of: ModelOf, tasks: list[jx.Task], folder: Path) -> None:
        self.model_of = model_of
        self.tasks = tasks
        self.folder = folder

    def trainer(
        self,
        sparse: Any,
        *callbacks: TrainerCallback,
        model: jx.MultitaskModel | None = None,
        folder: str = "run",
        options: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> jx.Trainer:
        args = arguments(
            self.folder / f"{folder}-{sparse}",
            **{"learning_rate": 1e-3, "max_steps": 12, **changes},
        )
        return jx.Trainer(
            model or self.model_of(self.tasks),
            args,
            tasks=self.tasks,
            sparse_embeddings=sparse,
            callbacks=list(callbacks),
            **(options or {}),
        )


@pytest.fixture
def runs(model_of: ModelOf, tasks: list[jx.Task], tmp_path: Path) -> Runs:
    return Runs(model_of, tasks, tmp_path)


# --- the same result ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"per_device_train_batch_size": 2},
        {
            **DECAY,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 20,
            "max_grad_norm": 0.05,
            "gradient_accumulation_steps": 2,
            "per_device_train_batch_size": 1,
        },
        {**DECAY, "neftune_noise_alpha": 5.0, "per_device_train_batch_size": 2},
        {**DECAY, "bf16": True, "optim": "adamw_torch", "per_device_train_batch_size": 2},
    ],
    ids=["plain", "schedule, clipping, accumulation", "noise", "bf16, not fused"],
)
def test_a_hundred_steps(changes: dict[str, Any], runs: Runs) -> None:
    dense = runs.trainer(False, max_steps=100, **changes)
    before = state_of(dense.model)
    dense.train()
    sparse = runs.trainer("auto", max_steps=100, **changes)
    sparse.train()
    assert_close(state_of(sparse.model), state_of(dense.model))
    vocabulary = len(sparse.model.get_input_embeddings().weight)
    assert trained_rows(sparse) < vocabulary / 2 < trained_rows(dense) == vocabulary
    for logged, expected in zip(history(sparse), history(dense), strict=True):
        assert logged == pytest.approx(expected, rel=1e-4)
    name = "encoder.embeddings.word_embeddings.weight"
    if "weight_decay" in changes:
        assert_unused_rows_moved(before[name], sparse.model.state_dict()[name], sparse)


@pytest.mark.parametrize("padding_free", ["auto", False])
@pytest.mark.parametrize("family", ["albert", "bert", "deberta-v2", "electra", "mpnet", "xlm-r"])
def test_families(
    family: str, padding_free: Any, model_of: ModelOf, tiny_tasks: Any, tmp_path: Path
) -> None:
    """Factorised embeddings, position ids made of token ids, padding that is looked up."""
    runs = Runs(model_of, [tiny_tasks["pair"]], tmp_path)
    results = []
    for sparse in (False, True):
        model = model_of(runs.tasks, family, padding_free=padding_free).double()
        trainer = runs.trainer(sparse, model=model, max_steps=4, **DECAY)
        trainer.train()
        results.append(state_of(model))
    assert_close(results[1], results[0])
    assert trained_rows(trainer) < len(model.get_input_embeddings().weight)


def test_t5_s_embeddings_belong_to_two_modules(
    model_of: ModelOf, tiny_tasks: Any, tmp_path: Path
) -> None:
    runs = Runs(model_of, [tiny_tasks["pair"]], tmp_path)
    model = model_of(runs.tasks, "t5")
    with pytest.raises(ValueError, match=r"encoder.encoder.embed_tokens has the same parameter"):
        runs.trainer(True, model=model, max_steps=1).train()
    runs.trainer("auto", model=model, max_steps=1).train()


@pytest.mark.parametrize("kind", ["multi_label", "regression", "qa", "choice", "retrieval"])
def test_every_type_of_task(kind: str, model_of: ModelOf, tiny_tasks: Any, tmp_path: Path) -> None:
    runs = Runs(model_of, [tiny_tasks[kind]], tmp_path)
    results = []
    for sparse in (False, True):
        trainer = runs.trainer(sparse, **DECAY)
        trainer.train()
        results.append(state_of(trainer.model))
    assert_close(results[1], results[0])


def test_two_trainings_one_after_the_other(runs: Runs) -> None:
    """transformers goes on with the optimizer of the first."""
    results = []
    for sparse in (False, True):
        trainer = runs.trainer(sparse, **DECAY)
        trainer.train()
        trainer.train()
        results.append(state_of(trainer.model))
    assert_close(results[1], results[0])
    assert trained_rows(trainer) < len(trainer.model.get_input_embeddings().weight)


# --- what is seen of it ---------------------------------------------------------------------------


class Looks(TrainerCallback):
    """What a user may look at after each step."""

    def __init__(self, task: jx.Task) -> None:
        self.task = task
        self.matrices: list[Tensor] = []
        self.predictions: list[list[str]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        model = kwargs["model"]
        self.matrices.append(model.get_input_embeddings().weight.detach().clone())
        unseen = jx.predict(model, self.task, ["猫 狗 看见", "كتاب قلم"])
        self.predictions.append([prediction.label for prediction in unseen])

    on_pre_optimizer_step = on_step_end


def test_callbacks_see_the_whole_matrix(runs: Runs) -> None:
    seen = []
    for sparse in (False, True):
        looks = Looks(runs.tasks[0])
        runs.trainer(sparse, looks, max_steps=4, **DECAY).train()
        seen.append(looks)
    dense, compact = seen
    assert compact.predictions == dense.predictions
    for actual, expected in zip(compact.matrices, dense.matrices, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)


def test_scores_and_checkpoints_are_the_same(runs: Runs) -> None:
    """Evaluations in languages whose pieces no training row has, and the best model."""
    changes: dict[str, Any] = {
        **DECAY,
        "eval_strategy": "steps",
        "eval_steps": 3,
        "save_strategy": "steps",
        "save_steps": 3,
        "load_best_model_at_end": True,
        "learning_rate": 1e-2,
    }
    mood = runs.tasks[0]
    held_out = mood.replace(
        name="held_out", head="mood", train_languages=("zh",), source=mood.source
    )
    trainers = []
    for sparse in (False, True):
        trainer = runs.trainer(sparse, options={"eval_tasks": [held_out]}, **changes)
        trainer.train()
        trainers.append(trainer)
    dense, compact = trainers
    assert compact.state.best_global_step == dense.state.best_global_step
    scores = [[log["eval_score"] for log in history(t) if "eval_score" in log] for t in trainers]
    assert scores[0] == pytest.approx(scores[1])
    assert_close(state_of(compact.model), state_of(dense.model))
    for step in (3, 6, 9, 12):
        saved = []
        for trainer in trainers:
            folder = Path(trainer.args.output_dir) / f"checkpoint-{step}"
            saved.append(state_of(jx.MultitaskModel.from_pretrained(folder)))
        assert_close(saved[1], saved[0])


def test_the_model_is_plain_afterwards(runs: Runs) -> None:
    """Also after an error."""
    trainer = runs.trainer(True, Stop(3), **DECAY)
    module = trainer.model.get_input_embeddings()
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert type(module) is nn.Embedding
    assert module.weight.shape == (module.num_embeddings, module.embedding_dim)
    expected = runs.trainer(False, Stop(3), **DECAY)
    with pytest.raises(KeyboardInterrupt):
        expected.train()
    assert_close(state_of(trainer.model), state_of(expected.model))


# --- resuming -------------------------------------------------------------------------------------


SAVES: dict[str, Any] = {**DECAY, "save_strategy": "steps", "save_steps": 2}


def test_a_resumed_run_is_the_straight_run(runs: Runs) -> None:
    """Bit for bit, the decayed rows too."""
    straight = runs.trainer(True, folder="straight", **SAVES)
    straight.train()
    with pytest.raises(KeyboardInterrupt):
        runs.trainer(True, Stop(6), **SAVES).train()
    resumed = runs.trainer(True, **SAVES)
    resumed.train(resume_from_checkpoint=True)
    assert trained_rows(resumed) < len(resumed.model.get_input_embeddings().weight)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


@pytest.mark.parametrize("sparse", [False, True])
def test_a_run_of_the_other_kind_is_resumed(sparse: bool, runs: Runs) -> None:
    """The moments in a checkpoint are cut or filled with zeros."""
    straight = runs.trainer(False, folder="straight", **SAVES)
    straight.train()
    with pytest.raises(KeyboardInterrupt):
        runs.trainer(not sparse, Stop(6), **SAVES).train()
    resumed = runs.trainer(sparse, **SAVES)
    resumed.args.output_dir = str(runs.folder / f"run-{not sparse}")
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 12
    assert_close(state_of(resumed.model), state_of(straight.model))
    assert (trained_rows(resumed) < len(resumed.model.get_input_embeddings().weight)) == sparse


def test_moments_of_other_rows_are_refused(runs: Runs) -> None:
    with pytest.raises(KeyboardInterrupt):
        runs.trainer(True, Stop(6), **SAVES).train()
    path = runs.folder / "run-True" / "checkpoint-6" / "optimizer.pt"
    state = torch.load(path, weights_only=True)
    state["state"][0]["exp_avg"] = state["state"][0]["exp_avg"][:-1]
    torch.save(state, path)
    write_manifest(path.parent, run_of(path.parent))
    with pytest.raises(ValueError, match=r"moments of \d+ embeddings, and this run trains \d+"):
        runs.trainer(True, **SAVES).train(resume_from_checkpoint=str(path.parent))


# --- where all embeddings are trained -------------------------------------------------------------


class ReadsEmbedding(ClassificationHead):
    """A head that says that it reads all embeddings."""

    reads_embedding = True


def freeze(model: Any) -> None:
    model.get_input_embeddings().requires_grad_(False)


def halve(model: Any) -> None:
    model.to(torch.bfloat16)


def hook(model: Any) -> None:
    model.get_input_embeddings().weight.register_hook(lambda gradient: gradient)


def tie(model: Any) -> None:
    model.heads["mood"].decoder = nn.Linear(32, 186)
    model.heads["mood"].decoder.weight = model.get_input_embeddings().weight


def compiled(model: Any) -> None:
    model.get_input_embeddings().compile(backend="eager")


def renormalise(model: Any) -> None:
    model.get_input_embeddings().max_norm = 1.0


def read(model: Any) -> None:
    """The encoder reads the whole matrix in its forward pass."""
    module = model.get_input_embeddings()
    model.encoder.register_forward_hook(lambda *_: module.weight.sum() and None)


def reads_embedding(model: Any) -> None:
    model.heads["mood"].__class__ = ReadsEmbedding


@pytest.mark.parametrize(
    ("change", "changes", "reason"),
    [
        (None, {"optim": "sgd"}, "SGD may change unused embeddings otherwise than AdamW"),
        (None, {"optim": "adafactor"}, "Adafactor may change"),
        (freeze, {}, "they are frozen"),
        (halve, {}, "weight decay would be rounded otherwise in torch.bfloat16"),
        (hook, {}, "a hook reads their gradient"),
        (tie, {}, "heads.mood.decoder has the same parameter"),
        (compiled, {}, "encoder.embeddings.word_embeddings is compiled"),
        (renormalise, {}, r"Embedding\(.*max_norm=1.0\) is more than a table of rows"),
        (read, {}, "the encoder reads their whole matrix in each step"),
        (reads_embedding, {}, "the head of task mood reads all embeddings"),
    ],
)
def test_reasons(
    change: Callable[[Any], None] | None,
    changes: dict[str, Any],
    reason: str,
    runs: Runs,
    model_of: ModelOf,
) -> None:
    for sparse in (True, "auto"):
        model = model_of(runs.tasks)
        if change is not None:
            change(model)
        trainer = runs.trainer(sparse, model=model, max_steps=1, **changes)
        if sparse is True:
            with pytest.raises(ValueError, match=f"cannot be exact: .*{reason}"):
                trainer.train()
        else:
            trainer.train()
        assert type(model.get_input_embeddings()) is nn.Embedding


def test_embeddings_that_are_all_used(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_ids(model: jx.MultitaskModel, features: Any) -> torch.Tensor:
        return torch.arange(model.get_input_embeddings().num_embeddings)

    monkeypatch.setattr(trainer_embeddings, "used_ids", all_ids)
    with pytest.raises(ValueError, match="cannot be exact: the training data use all of them"):
        runs.trainer(True).train()


def test_masked_lm_trains_all(model_of: ModelOf, tiny_tasks: Any, tmp_path: Path) -> None:
    runs = Runs(model_of, [tiny_tasks["classification"], tiny_tasks["mlm"]], tmp_path)
    with pytest.raises(ValueError, match="task lines chooses token ids as it makes batches"):
        runs.trainer(True).train()
    trainer = runs.trainer("auto", max_steps=2)
    trainer.train()
    assert trained_rows(trainer) == len(trainer.model.get_input_embeddings().weight)


def test_an_untrained_masked_lm_head_changes_nothing(
    model_of: ModelOf, tiny_tasks: Any, tmp_path: Path
) -> None:
    runs = Runs(model_of, [tiny_tasks["classification"]], tmp_path)
    states = []
    scores = []
    for sparse in (False, True):
        model = model_of([tiny_tasks["classification"], tiny_tasks["mlm"]])
        options: dict[str, Any] = {"eval_tasks": [tiny_tasks["mlm"]]}
        changes: dict[str, Any] = {**DECAY, "eval_strategy": "steps", "eval_steps": 6}
        trainer = runs.trainer(sparse, model=model, options=options, **changes)
        trainer.train()
        states.append(state_of(model))
        scores.append([log["eval_score"] for log in history(trainer) if "eval_score" in log])
    assert_close(states[1], states[0])
    assert scores[1] == pytest.approx(scores[0])


def test_an_optimizer_of_the_user_s(runs: Runs, model_of: ModelOf) -> None:
    model = model_of(runs.tasks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    trainer = runs.trainer("auto", model=model, options={"optimizers": (optimizer, None)})
    trainer.train()
    assert trained_rows(trainer) == len(model.get_input_embeddings().weight)


def test_adapters_leave_embeddings_alone(runs: Runs, model_of: ModelOf) -> None:
    peft = pytest.importorskip("peft")
    model = model_of(runs.tasks)
    adapted = peft.get_peft_model(model, model.lora_config())
    before = model.get_input_embeddings().weight.detach().clone()
    runs.trainer("auto", model=adapted, **DECAY).train()
    assert torch.equal(model.get_input_embeddings().weight, before)


def test_the_reason_is_logged(runs: Runs, said: Callable[[], str]) -> None:
    logger = jx.trainer.logger
    level = logger.level
    logger.setLevel("INFO")
    try:
        runs.trainer("auto", max_steps=1).train()
        runs.trainer("auto", max_steps=1, optim="sgd").train()
    finally:
        logger.setLevel(level)
    assert "of 186 embeddings are trained." in said()
    assert "Embeddings are not sparse: SGD may change" in said()


def test_misspelt_values_are_refused(runs: Runs) -> None:
    with pytest.raises(ValueError, match="sparse_embeddings"):
        runs.trainer("never")


def test_an_optimizer_made_before_the_training(runs: Runs) -> None:
    """`create_optimizer` alone changes no model."""
    trainer = runs.trainer("auto", max_steps=1)
    trainer.create_optimizer()
    assert not isinstance(trainer.model.get_input_embeddings(), UsedEmbeddings)
    trainer.train()
