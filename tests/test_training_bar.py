"""Progress bars say what is trained."""

import pytest
import transformers
from transformers import TrainingArguments

import jiantx as jx
from jiantx.training_bar import label_training_bar


def trainer(tiny_tasks, model_of, folder, **arguments):
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    options = {"max_steps": 2, "save_strategy": "no", "report_to": "none", "logging_steps": 1}
    args = TrainingArguments(str(folder), use_cpu=True, **{**options, **arguments})
    return jx.Trainer(model_of(tasks), args, tasks=tasks)


def test_the_bar_names_the_tasks(tiny_tasks, model_of, tmp_path, capsys):
    trainer(tiny_tasks, model_of, tmp_path).train()
    printed = capsys.readouterr()
    assert "training on mood, entities: 100%" in printed.err
    assert "'loss'" in printed.out + printed.err


def test_the_bar_can_have_another_label_and_no_logs(tiny_tasks, model_of, tmp_path, capsys):
    quiet = trainer(tiny_tasks, model_of, tmp_path)
    label_training_bar(quiet, "pretraining", shows_logs=False)
    quiet.train()
    printed = capsys.readouterr()
    assert "pretraining: 100%" in printed.err
    assert "training on" not in printed.err
    assert "'loss'" not in printed.out + printed.err


def test_a_trainer_without_bar_gets_none(tiny_tasks, model_of, tmp_path, capsys):
    trainer(tiny_tasks, model_of, tmp_path, disable_tqdm=True).train()
    assert "training on" not in capsys.readouterr().err


@pytest.mark.parametrize("enabled", [True, False])
def test_loading_a_model_shows_no_bar_and_leaves_others_as_they_were(
    tiny_tasks, encoder_folder, capsys, enabled
):
    logging = transformers.utils.logging
    if enabled:
        logging.enable_progress_bar()
    try:
        jx.MultitaskModel.from_pretrained(encoder_folder(), [tiny_tasks["classification"]])
        assert logging.is_progress_bar_enabled() == enabled
    finally:
        logging.disable_progress_bar()
    assert "Loading weights" not in capsys.readouterr().err


def test_progress_false_silences_the_bar_of_notebooks(
    tiny_tasks, model_of, tmp_path, capsys, monkeypatch
):
    from transformers.utils.notebook import NotebookProgressCallback

    monkeypatch.setattr("transformers.trainer.DEFAULT_PROGRESS_CALLBACK", NotebookProgressCallback)
    with jx.progress(False):
        silent = trainer(tiny_tasks, model_of, tmp_path)
        silent.train()
    callbacks = silent.callback_handler.callbacks
    assert not any(isinstance(callback, NotebookProgressCallback) for callback in callbacks)
    assert "training" not in capsys.readouterr().err
