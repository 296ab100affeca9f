"""A task of your own, from a local file: trained beside a built-in one, scored, saved, used.

python examples/new_task.py
"""

from argparse import RawDescriptionHelpFormatter
from dataclasses import dataclass, field
from pathlib import Path

from transformers import HfArgumentParser, TrainingArguments, set_seed

import jiantx as jx

mood = jx.register(
    jx.Classification(
        name="mood",
        source=jx.Files(str(Path(__file__).parent / "data/mood.{split}.jsonl"), jx.read_jsonl),
        text="sentence",
        label="mood",
        labels=("glad", "sad"),
    )
)


@dataclass
class Options:
    """Command-line options."""

    encoder: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder (default: the artificial world's encoder)"},
    )
    max_steps: int = field(default=100, metadata={"help": "training steps (default: 100)"})
    output: str = field(
        default="runs/new_task", metadata={"help": "folder of the model (default: runs/new_task)"}
    )


def main() -> None:
    parser = HfArgumentParser(
        Options, description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    (options,) = parser.parse_args_into_dataclasses()

    # 1. The artificial world: its tasks stand where the Hub's would.
    jx.data_root(jx.default_root())
    tasks = [mood, jx.get_task("udpos")]

    # 2. One encoder, one head a task.
    encoder = options.encoder or jx.default_encoder()
    set_seed(1)
    model = jx.MultitaskModel.from_pretrained(encoder, tasks)

    # 3. Train on both; every second step is of the file's task, although the file is small.
    arguments = TrainingArguments(
        options.output,
        max_steps=options.max_steps,
        learning_rate=5e-4,
        save_strategy="no",
        report_to="none",
    )
    jx.Trainer(model, arguments, tasks=tasks, sampling=jx.Sampling(exponent=0)).train()

    # 4. Score. The built-in task is there in all its languages.
    print(jx.evaluate(model, tasks).to_markdown())

    # 5. Save, load, predict for new sentences.
    model.save_pretrained(options.output)
    loaded = jx.MultitaskModel.from_pretrained(options.output)
    sentences = [
        "the gloomy potter washed the red jar.",
        "the cheerful nurse lifted the old drum in the school.",
    ]
    predictions = jx.predict(loaded, mood, [{"sentence": sentence} for sentence in sentences])
    for sentence, prediction in zip(sentences, predictions, strict=True):
        print(f"{prediction.label} ({prediction.probability:.0%}): {sentence}")


if __name__ == "__main__":
    main()
