"""Your own task, from a local file: registered, trained beside a built-in one, scored, saved,
loaded, used.

python examples/new_task.py
"""

import argparse
from pathlib import Path

from transformers import TrainingArguments, set_seed

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--encoder", help="Hub id or folder (default: the artificial world's encoder)"
    )
    parser.add_argument("--max-steps", type=int, default=100)
    parser.add_argument("--output", default="runs/new_task")
    options = parser.parse_args()

    # 1. The artificial world: its tasks stand where the Hub's would.
    jx.data_root(jx.default_root())
    tasks = [mood, jx.get_task("udpos")]

    # 2. One encoder, one head a task.
    encoder = options.encoder or jx.default_encoder()
    set_seed(1)
    model = jx.MultitaskModel.from_pretrained(encoder, tasks)

    # 3. Train on both; every second step is ours, although the file is small.
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
