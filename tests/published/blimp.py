"""BLiMP by pseudo-log-likelihood, as Salazar et al. 2020 (1910.14659) score it.

    python -m tests.published.blimp --data-root hub                # RoBERTa large, all 67 paradigms

The accuracy of RoBERTa large is that of https://github.com/awslabs/mlm-scoring,
`examples/lingacc-blimp/README.md`; the score of "Hello world!" by BERT base, cased, is that of the
README there. The exit status is 1 if jiantx differs from what is published by more than 0.5 points.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from statistics import fmean

import jiantx as jx
from jiantx.tasks.minimal_pairs import BLIMP, blimp_source

PUBLISHED = {"FacebookAI/roberta-large": 86.5}
HELLO_MODEL = "google-bert/bert-base-cased"
HELLO_SCORE = -12.410664200782776
TOLERANCE = 0.5  # points: tokenisation and libraries of 2020


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.published.blimp",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--encoder", default="FacebookAI/roberta-large", help="a folder or a Hub id"
    )
    parser.add_argument("--data-root", default="hub", help="a folder, or hub")
    parser.add_argument("--paradigms", nargs="+", default=list(BLIMP), choices=BLIMP)
    options = parser.parse_args(arguments)
    jx.data_root(None if options.data_root == "hub" else options.data_root)
    accuracies = score(options.encoder, options.paradigms)
    table = [[name, f"{accuracy:.1f}"] for name, accuracy in accuracies.items()]
    mean = fmean(accuracies.values())
    table.append(["**mean**", f"{mean:.1f}"])
    print(jx.report.markdown_table(["paradigm", "accuracy"], table))
    published = PUBLISHED.get(options.encoder)
    if published is None or set(options.paradigms) != set(BLIMP):
        return 0
    print(f"Published: {published:.1f}. Difference: {mean - published:+.1f}.")
    return 1 if abs(mean - published) > TOLERANCE else 0


def score(encoder: str, paradigms: Sequence[str]) -> dict[str, float]:
    """Paradigm -> accuracy.

    Args:
        encoder: A folder, or an id on the Hub; with its masked-LM head.
        paradigms: Some of BLiMP's.
    """
    blimp = jx.get_task("blimp")
    tasks = [
        blimp.replace(name=f"blimp_{name.lower()}", source=blimp_source(name), head="mlm")
        for name in paradigms
    ]
    model = jx.MultitaskModel.from_pretrained(encoder, tasks)
    report = jx.evaluate(model, tasks, split="test", batch_size=256)
    by_task = report.mean(by="task")
    return {name: by_task[task.name] for name, task in zip(paradigms, tasks, strict=True)}


def hello_score(encoder: str) -> float:
    """The pseudo-log-likelihood of "Hello world!".

    Args:
        encoder: A folder, or an id on the Hub.
    """
    task = jx.SentenceRanking(name="hello", source=jx.Rows({}))
    model = jx.MultitaskModel.from_pretrained(encoder, [task])
    row = {"better": "Hello world!", "worse": "Hello hello!"}
    (prediction,) = jx.predict(model, task, [row])
    return float(prediction.log_likelihoods[0])


if __name__ == "__main__":
    sys.exit(main())
