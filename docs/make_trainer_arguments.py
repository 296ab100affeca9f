"""Write docs/trainer_arguments.md from `jiantx.trainer_arguments` (`make docs`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jiantx import trainer_arguments as table

HERE = Path(__file__).parent
INTRODUCTION = """# Arguments of the trainer

`jx.Trainer` is a `transformers.Trainer` that trains tasks instead of datasets. This page lists
every parameter and public method of `transformers.Trainer`, and every field of `TrainingArguments`:
what works, and what is refused with an error that names it. `make docs` writes this page from
`jiantx/trainer_arguments.py`; a test compares those names with the installed transformers.

Names without a note work as transformers documents them.
"""
OURS = """jiantx's own are `tasks`, `sampling` and `max_length`;
`losses` ([howto/class_imbalance.md](howto/class_imbalance.md));
`eval_tasks` and `eval_languages`
([howto/best_checkpoint_and_early_stopping.md](howto/best_checkpoint_and_early_stopping.md));
`freeze`, `learning_rates`, `weight_decays` and `layer_decay`
([howto/learning_rates_and_freezing.md](howto/learning_rates_and_freezing.md)); and
`sparse_embeddings` ([performance.md](performance.md)).
"""
RESUMING = """## Resuming

`train(resume_from_checkpoint=True)` takes the newest complete checkpoint of the run that was begun
last in the output folder. A checkpoint's `manifest.json` describes its run, and a run with other
tasks, data or arguments does not resume from it: the error lists what differs.

| may differ | |
|---|---|
| `max_steps`, `num_train_epochs`, `bf16`, `fp16` | Logged. |
| the number of ranks | Logged, if a step then has other examples. |
| `per_device_train_batch_size`, `gradient_accumulation_steps` | Their product may not. |
| arguments of logging, saving, evaluation and loading | Except the two below. |
| `Trainer(sparse_embeddings=…)` | The optimizer's moments are converted. |

`metric_for_best_model`, and with it the `eval_tasks` and `eval_languages`, may not differ: later
scores are compared with the best one so far. `losses`, `freeze`, `learning_rates`, `weight_decays`
and `layer_decay` may not differ either.

The folder may be moved, copied or renamed: the best checkpoint is looked for beside the one that
you resume from. A run that its last step or early stopping ended is not trained on. A run that
another callback stopped goes on.

To change anything else, train on from the weights alone:
`MultitaskModel.from_pretrained("runs/a/checkpoint-500", tasks)`.
"""


def page() -> str:
    """The whole page."""
    sections = [
        INTRODUCTION,
        "## Parameters of `Trainer`, `train` and `evaluate`\n",
        OURS,
        section(table.PARAMETERS, table.REFUSED_PARAMETERS),
        "## Methods of `Trainer`\n",
        section(table.METHODS, table.REFUSED_METHODS),
        "## Fields of `TrainingArguments`\n",
        section(table.ARGUMENTS, table.REFUSED_ARGUMENTS),
        RESUMING,
    ]
    return "\n".join(sections)


def section(works: Mapping[str, str], refused: Mapping[str, str]) -> str:
    """The names that work as they do in transformers, and a table of the others."""
    as_documented = [f"`{name}`" for name in sorted(works) if not works[name]]
    lines = [f"Without a note: {', '.join(as_documented)}.", "", "| name | | |", "|---|---|---|"]
    for name, note in sorted({**works, **refused}.items()):
        if note:
            lines.append(f"| `{name}` | {'works' if name in works else 'refused'} | {note} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (HERE / "trainer_arguments.md").write_text(page(), encoding="utf-8")
