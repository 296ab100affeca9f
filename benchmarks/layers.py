"""Sentence vectors of a middle layer: no layer above it is run, and a sweep over layers is one
pass.

    python benchmarks/layers.py                  # 24 thin layers, as deep as XLM-R large
    python benchmarks/layers.py --hidden 256 --rows 1000

Every run is a whole `evaluate` of retrieval, from cached features to scores. The encoder is random
and narrow; its depth is XLM-R large's, so that the shares of the layers are. `transformers` is its
own encoder with `output_hidden_states`, which runs all layers, over the same texts in padded
batches, sorted by length too."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch

DEPTH = 24
LAYER = 14
BATCH = 32


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JIANTX_CACHE"] = f"{folder}/cache"
        os.environ["TQDM_DISABLE"] = "1"
        records = measured(options, folder)
    lines = []
    for record in records:
        first_seconds, other_seconds = record["seconds"].values()
        times = harness.format_ratio(harness.ratio(other_seconds, first_seconds))
        lines.append(
            [
                *record["seconds"],
                f"{np.median(first_seconds):.2f}",
                f"{np.median(other_seconds):.2f}",
                times,
            ]
        )
    size = f"{2 * options.rows:,} sentences, {DEPTH} layers of {options.hidden}"
    print(f"{harness.machine()}. {size}; vectors and scores are equal.\n")
    print(harness.table(["one", "other", "one, s", "other, s", "times as fast (range)"], lines))
    harness.write("layers", vars(options), records, options.results)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__, repeat=5)
    harness.add_data_flags(parser)
    parser.add_argument("--rows", type=int, default=400, help="pairs of sentences")
    parser.add_argument("--hidden", type=int, default=128)
    return parser.parse_args(arguments)


def measured(options: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    import jiantx as jx

    rows = pairs(options, folder)
    tasks = {
        layer: jx.Retrieval(name=f"layer{layer}", source=jx.Rows({"validation": rows}), layer=layer)
        for layer in (LAYER, DEPTH)
    }
    model = jx.MultitaskModel.from_pretrained(encoder(options, folder), list(tasks.values()))
    texts: list[str] = []
    for row in rows:
        texts += [row["query"], row["candidate"]]
    plain = Plain(f"{folder}/encoder", texts)
    sweep = range(0, DEPTH + 1, 4)
    check(model, tasks[LAYER], plain)

    def evaluated(layer: int, layers: tuple[int, ...] | None = None) -> Any:
        return jx.evaluate(model, [tasks[layer]], batch_size=BATCH, layers=layers)

    def apart() -> list[Any]:
        return [evaluated(DEPTH, (layer,)) for layer in sweep]

    together = partial(evaluated, DEPTH, tuple(sweep))
    if [score.value for score in together()] != [
        score.value for report in apart() for score in report
    ]:
        raise SystemExit("A sweep in one pass and one pass a layer give different scores.")
    compared = [
        {f"layer {LAYER}": partial(evaluated, LAYER), f"layer {DEPTH}": partial(evaluated, DEPTH)},
        {
            f"layer {LAYER}": partial(evaluated, LAYER),
            "transformers, all layers": partial(plain.vectors, LAYER),
        },
        {f"{len(sweep)} layers in one pass": together, "one pass a layer": apart},
    ]
    alternatives = [{name: harness.clocked(run) for name, run in runs.items()} for runs in compared]
    return [
        {"seconds": harness.take_turns(runs, 1, repeat=options.repeat)} for runs in alternatives
    ]


def pairs(options: argparse.Namespace, folder: str) -> list[dict[str, str]]:
    """Premises and hypotheses of MNLI."""
    import jiantx as jx
    from jiantx import synthetic

    root = options.data_root
    jx.data_root(
        root
        if root.is_dir()
        else synthetic.write_root(Path(folder) / "root", train_examples=options.rows)
    )
    rows = jx.get_task("mnli").rows("train", "en").select(range(options.rows))
    return [{"query": row["premise"], "candidate": row["hypothesis"]} for row in rows]


def encoder(options: argparse.Namespace, folder: str) -> str:
    """A folder of a random XLM-R: as deep as the large one, and narrow."""
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        intermediate_size=4 * options.hidden,
        num_hidden_layers=DEPTH,
        num_attention_heads=options.hidden // 32,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.05,
    )
    path = f"{folder}/encoder"
    XLMRobertaModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


class Plain:
    """transformers' encoder, which runs all layers, over padded batches of texts of like length."""

    def __init__(self, path: str, texts: list[str]) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.model = AutoModel.from_pretrained(path, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.encoded = self.tokenizer(texts, truncation=True, max_length=512)["input_ids"]
        self.order = np.argsort([-len(ids) for ids in self.encoded], kind="stable")

    @torch.inference_mode()
    def vectors(self, layer: int) -> torch.Tensor:
        """(texts, hidden) means over tokens after `layer` layers, of length 1."""
        means = torch.empty(len(self.encoded), self.model.config.hidden_size)
        for start in range(
            0, len(self.order), 2 * BATCH
        ):  # a feature of jiantx holds two sentences
            rows = self.order[start : start + 2 * BATCH]
            batch = self.tokenizer.pad(
                {"input_ids": [self.encoded[row] for row in rows]}, return_tensors="pt"
            )
            states = self.model(**batch, output_hidden_states=True).hidden_states[layer]
            mask = batch["attention_mask"][:, :, None]
            means[torch.from_numpy(rows)] = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(means, dim=1)


def check(model: Any, task: Any, plain: Plain) -> None:
    """SystemExit unless jiantx's vectors are transformers'."""
    from jiantx.evaluation import _run
    from jiantx.features import load_features

    table = load_features(task, "validation", "en", model.tokenizer).table
    _, outputs = _run(model, task, [("en", table)], BATCH, None, "")
    gap = float((outputs["embeddings"] - plain.vectors(task.layer)).abs().max())
    if gap > 1e-5:
        raise SystemExit(
            f"The vectors of layer {task.layer} differ from transformers' by {gap:.1e}."
        )


if __name__ == "__main__":
    sys.exit(main())
