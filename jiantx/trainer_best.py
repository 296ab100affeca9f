"""The best model of a run: it is saved when it is found, and keeps the scores that made it best."""

from __future__ import annotations

from typing import Any

import transformers

from jiantx.report import Report
from jiantx.trainer_card import without_adapters


class BestModelMixin(transformers.Trainer):
    """`load_best_model_at_end` loads the best of all evaluations, whatever `save_steps` is."""

    _best_report: Report | None = None

    def _determine_best_metric(self, *args: Any, **kwargs: Any) -> bool:
        is_best: bool = super()._determine_best_metric(*args, **kwargs)
        if is_best:
            self._best_report = without_adapters(self.model).report
            # or the end would load an older checkpoint, perhaps one of another run in the folder
            self.control.should_save |= self.args.load_best_model_at_end
        return is_best

    def _load_best_model(self) -> None:
        super()._load_best_model()
        without_adapters(self.model).report = self._best_report
