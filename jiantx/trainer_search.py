"""Searching hyperparameters with Optuna: a model and a trainer of its own for each trial."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import transformers
from transformers import TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_utils import BestRun, default_hp_space_optuna
from transformers.utils import logging

from jiantx.half_precision import forget_training_precision
from jiantx.registry import near_names
from jiantx.trainer_setup import evaluated_languages

logger = logging.get_logger("jiantx.trainer")

OPTIMIZE_ARGUMENTS = ("timeout", "gc_after_trial", "catch")
"""Arguments of `optuna.study.Study.optimize`; the others are those of `create_study`."""


class SearchMixin(transformers.Trainer):
    """What `Trainer` does to compare settings.

    `_settings` are the parameters that the trainer was created with.
    """

    _settings: Mapping[str, Any]
    _eval_tasks: list[Any]
    eval_languages: Any

    def hyperparameter_search(
        self,
        hp_space: Callable[[Any], dict[str, Any]] | None = None,
        compute_objective: Callable[[dict[str, float]], Any] | None = None,
        n_trials: int = 20,
        direction: str | Sequence[str] = "maximize",
        backend: str | None = None,
        hp_name: Callable[[Any], str] | None = None,
        **kwargs: Any,
    ) -> BestRun | list[BestRun]:
        """Search for the best settings with Optuna; see docs/howto/search_hyperparameters.md.

        Each trial creates a `Trainer` with the parameters of this one, except those that `hp_space`
        chooses, and with a new model from `model_init`. Its folder is `run-0`, `run-1` and so on,
        in the folder of this trainer. A trial that falls behind at an evaluation is ended early.

        Args:
            hp_space: Trial -> settings: `TrainingArguments` by name, or parameters of `Trainer`
                such as `layer_decay` and `sampling`. transformers' space for Optuna if None.
            compute_objective: Scores of `evaluate` -> the objective, or several; `eval_score` if
                None.
            n_trials: Number of trials.
            direction: "maximize" or "minimize"; a list for several objectives. transformers'
                default is "minimize".
            backend: "optuna" or None.
            hp_name: Trial -> name of its folder.
            kwargs: For `optuna.create_study` (`study_name`, `storage`, `load_if_exists`, `sampler`,
                `pruner`) and for `Study.optimize` (`timeout`, `gc_after_trial`, `catch`).

        Returns:
            The best trial; with several objectives, the trials that are Pareto-optimal.

        Raises:
            ValueError: The trainer has no `model_init`, or an optimizer of its own, or runs on
                several ranks, or you ask for another backend, or `hp_space` chose a name
                that is not a setting.
            ImportError: Optuna is not installed.
        """
        self._check_search(backend, kwargs)
        optuna = _import_optuna()
        space = hp_space or default_hp_space_optuna
        objective_of = compute_objective or _mean_score
        is_single = isinstance(direction, str)

        def run_trial(trial: Any) -> Any:
            name = hp_name(trial) if hp_name else f"run-{trial.number}"
            pruning = [_Pruning(trial, objective_of, optuna.TrialPruned)] if is_single else []
            trainer = self._trial_trainer(trial, space(trial), name, pruning)
            try:
                trainer.train()
            except FloatingPointError as error:  # the other trials go on
                logger.warning(f"Trial {trial.number} is pruned: {error}")
                raise optuna.TrialPruned() from error
            return objective_of(trainer.evaluate())

        optimized = {name: kwargs.pop(name) for name in OPTIMIZE_ARGUMENTS if name in kwargs}
        directions = {"direction": direction} if is_single else {"directions": list(direction)}
        study = optuna.create_study(**directions, **kwargs)
        study.optimize(run_trial, n_trials=n_trials, **optimized)
        if is_single:
            best = study.best_trial
            return BestRun(str(best.number), best.value, best.params, study)
        return [
            BestRun(str(trial.number), trial.values, trial.params, study)
            for trial in study.best_trials
        ]

    def _check_search(self, backend: str | None, kwargs: dict[str, Any]) -> None:
        """Refuse what no search can do, before the first trial; take `n_jobs` out of `kwargs`."""
        if self._settings["model_init"] is None:
            raise ValueError(
                "hyperparameter_search needs a new model for each trial: create the trainer with "
                "model_init=…, a function that returns one."
            )
        if backend not in (None, "optuna"):
            raise ValueError(f"backend={backend!r}: jiantx searches with 'optuna' alone.")
        if kwargs.pop("n_jobs", 1) != 1:
            raise ValueError(
                "n_jobs: trials at once would share one process and its random numbers. Start "
                "several processes with the same storage=… and study_name=… instead."
            )
        if any(self._settings.get("optimizers") or ()):
            raise ValueError(
                "optimizers=…: an optimizer holds the parameters of one model, and each trial has "
                "a model of its own. Choose `optim` in TrainingArguments."
            )
        metrics_are_known = any(
            evaluated_languages(task, self.eval_languages) for task in self._eval_tasks
        )
        if not metrics_are_known:
            raise ValueError(
                "hyperparameter_search compares scores on validation rows, and there are none of "
                f"{', '.join(task.name for task in self._eval_tasks)}. Give `eval_tasks` that have "
                "some."
            )
        if self.args.world_size > 1:
            raise ValueError(
                f"hyperparameter_search on {self.args.world_size} ranks: jiantx searches in one "
                "process. Start several of them with the same storage=… and study_name=… instead."
            )

    def _trial_trainer(
        self, trial: Any, chosen: Mapping[str, Any], name: str, callbacks: list[TrainerCallback]
    ) -> Any:
        """Make the trainer of a trial.

        Args:
            trial: Optuna's.
            chosen: Setting -> value, as `hp_space` chose them.
            name: Of the trial's folder.
            callbacks: Added to those of the trainer, of which each trial has a copy.
        """
        settings = dict(self._settings)
        args = settings.pop("args") or TrainingArguments("runs")
        arguments = {field.name for field in dataclasses.fields(args)}
        unknown = [key for key in chosen if key not in arguments and key not in settings]
        if unknown:
            names = sorted(arguments | settings.keys())
            raise ValueError(
                f"hp_space chose {unknown[0]!r}, which is neither a field of TrainingArguments nor "
                f"a parameter of jx.Trainer.{near_names(unknown[0], names)}"
            )
        changes = {key: value for key, value in chosen.items() if key in arguments}
        settings |= {key: value for key, value in chosen.items() if key not in arguments}
        # new heads are those that the seed gives in a run of its own, whatever ran before
        set_seed(changes.get("seed", args.seed))
        settings["model"] = call_model_init(self._settings["model_init"], trial)
        folder = str(Path(args.output_dir) / name)
        own_callbacks = copy.deepcopy(settings.pop("callbacks", None) or [])
        return type(self)(
            args=dataclasses.replace(args, output_dir=folder, run_name=name, **changes),
            callbacks=[*own_callbacks, *callbacks],
            **settings,
        )


class _Pruning(TrainerCallback):
    """Tells the study each evaluation, and ends a trial that has fallen behind."""

    def __init__(
        self, trial: Any, objective_of: Callable[[dict[str, float]], Any], pruned: type[Exception]
    ) -> None:
        self.trial = trial
        self.objective_of = objective_of
        self.pruned = pruned

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            return  # a trial that has come this far is kept
        self.trial.report(self.objective_of(kwargs["metrics"]), state.global_step)
        if self.trial.should_prune():
            raise self.pruned()


def call_model_init(model_init: Callable[..., Any], trial: Any = None) -> Any:
    """Create a model as transformers does: the function may take the trial, or nothing.

    Args:
        model_init: The user's.
        trial: Optuna's; None outside a search.
    """
    return model_init(trial) if inspect.signature(model_init).parameters else model_init()


def model_to_train(
    model: Any, model_init: Callable[..., Any] | None, args: TrainingArguments | None
) -> Any:
    """The model that a trainer begins with, in its own precision.

    Args:
        model: The user's, or None.
        model_init: What makes one, or None. The heads are those of the seed.
        args: The user's, with the seed.

    Raises:
        ValueError: Neither is there.
    """
    if model is not None:
        forget_training_precision(model)
        return model
    if model_init is None:
        raise ValueError("Trainer() has no model: give it `model`, or `model_init`.")
    set_seed(TrainingArguments.seed if args is None else args.seed)
    return call_model_init(model_init)


def _mean_score(metrics: Mapping[str, float]) -> float:
    return metrics["eval_score"]


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        message = "hyperparameter_search needs Optuna: pip install jiantx[search]"
        raise ImportError(message) from error
    return optuna
