"""Sentence vectors of a middle layer: no layer above it is run, and a sweep is one pass.

    python benchmarks/layers.py                  # 24 thin layers, as deep as XLM-R large
    python benchmarks/layers.py --hidden 256 --rows 1000

Every run is a whole `evaluate` of retrieval, from cached features to scores. The encoder is random
and narrow; its depth is XLM-R large's, so that the shares of the layers are. `transformers` is its
own encoder with `output_hidden_states`, which runs all layers, over the same texts in padded
batches, sorted by length too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from measuring import (
    add_data_arguments,
    add_encoder_argument,
    argument_parser,
    clocked,
    format_ratio,
    machine,
    parse_options,
    ratio,
    set_data_root,
    table,
    take_turns,
    write_results,
)

DEPTH = 24
LAYER = 14
BATCH = 32
HEADER = ["one", "other", "one, s", "other, s", "times as fast (range)"]


def main() -> int:
    """Measure all comparisons."""
    options = parse()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JIANTX_CACHE"] = f"{folder}/cache"
        os.environ["TQDM_DISABLE"] = "1"
        records = measure(options, folder)
    lines = []
    for record in records:
        seconds, other_seconds = record["seconds"].values()
        medians = [f"{np.median(values):.2f}" for values in (seconds, other_seconds)]
        speed_up = format_ratio(ratio(other_seconds, seconds))
        lines.append([*record["seconds"], *medians, speed_up])
    size = f"{2 * options.rows:,} sentences, {options.depth} layers of {options.hidden}"
    print(f"{machine()}. {size}; vectors and scores are equal.\n")
    print(table(HEADER, lines))
    print(f"\nWritten: {write_results('layers', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__, repeat=5)
    add_data_arguments(parser)
    parser.add_argument("--rows", type=int, default=400, help="pairs of sentences")
    parser.add_argument("--hidden", type=int, default=128)
    parser.set_defaults(depth=DEPTH)
    add_encoder_argument(parser)
    return parse_options(parser, arguments)


def measure(options: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    """Compare layer with layer, with transformers, and a sweep with a pass for each layer."""
    import jiantx as jx

    depth = options.depth
    middle_layer = round(LAYER / DEPTH * depth)
    rows = sentence_pairs(options, folder)
    source = jx.Rows({"validation": rows})
    tasks = {}
    for layer in (middle_layer, depth):
        tasks[layer] = jx.Retrieval(name=f"layer{layer}", source=source, layer=layer)
    encoder = options.encoder or write_encoder(options, folder)
    model = jx.MultitaskModel.from_pretrained(encoder, list(tasks.values()))
    texts: list[str] = []
    for row in rows:
        texts += (row["query"], row["candidate"])
    plain = PlainEncoder(encoder, texts)
    check_vectors(model, tasks[middle_layer], plain)

    def evaluate(layer: int, layers: tuple[int, ...] | None = None) -> Any:
        return jx.evaluate(model, [tasks[layer]], batch_size=BATCH, layers=layers)

    sweep = tuple(range(0, depth + 1, 4))
    one_pass = partial(evaluate, depth, sweep)

    def pass_per_layer() -> list[float]:
        scores: list[float] = []
        for layer in sweep:
            scores += [score.value for score in evaluate(depth, (layer,))]
        return scores

    if [score.value for score in one_pass()] != pass_per_layer():
        raise SystemExit("A sweep in one pass and one pass a layer give different scores.")
    middle = partial(evaluate, middle_layer)
    plain_middle = partial(plain.vectors, middle_layer)
    comparisons: list[dict[str, Callable[[], Any]]] = [
        {f"layer {middle_layer}": middle, f"layer {depth}": partial(evaluate, depth)},
        {f"layer {middle_layer}": middle, "transformers, all layers": plain_middle},
        {f"{len(sweep)} layers in one pass": one_pass, "one pass a layer": pass_per_layer},
    ]
    records = []
    for runs in comparisons:
        turns = {name: clocked(run) for name, run in runs.items()}
        records.append({"seconds": take_turns(turns, 1, repeat=options.repeat)})
    return records


def sentence_pairs(options: argparse.Namespace, folder: str) -> list[dict[str, str]]:
    """Return premises of MNLI as queries, and hypotheses as candidates."""
    import jiantx as jx

    set_data_root(options.data_root, folder, train_examples=options.rows)
    rows = jx.get_task("mnli").rows("train", "en").select(range(options.rows))
    return [{"query": row["premise"], "candidate": row["hypothesis"]} for row in rows]


def write_encoder(options: argparse.Namespace, folder: str) -> str:
    """Write a random XLM-R, as deep as the large one and narrow; return its folder."""
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


class PlainEncoder:
    """transformers' encoder, all of whose layers run, on padded batches of similar lengths.

    Args:
        path: Folder of the encoder and its tokenizer.
        texts: The sentences.
    """

    def __init__(self, path: str, texts: list[str]) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.model = AutoModel.from_pretrained(path, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.input_ids = self.tokenizer(texts, truncation=True, max_length=512)["input_ids"]
        self.order = np.argsort([-len(ids) for ids in self.input_ids], kind="stable")

    @torch.inference_mode()
    def vectors(self, layer: int) -> torch.Tensor:
        """Return (texts, hidden) means over tokens after `layer` layers, of length 1."""
        means = torch.empty(len(self.input_ids), self.model.config.hidden_size)
        batch_size = 2 * BATCH  # a feature of jiantx holds two sentences
        for start in range(0, len(self.order), batch_size):
            rows = self.order[start : start + batch_size]
            features = {"input_ids": [self.input_ids[row] for row in rows]}
            batch = self.tokenizer.pad(features, return_tensors="pt")
            states = self.model(**batch, output_hidden_states=True).hidden_states[layer]
            mask = batch["attention_mask"][:, :, None]
            means[torch.from_numpy(rows)] = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(means, dim=1)


@torch.inference_mode()
def check_vectors(model: Any, task: Any, plain: PlainEncoder) -> None:
    """Raise SystemExit unless jiantx's vectors are transformers'."""
    from jiantx.batching import evaluation_batches
    from jiantx.features import load_features

    table = load_features(task, "validation", "en", model.tokenizer).table
    indices = np.arange(len(table))
    rows = [indices[start : start + BATCH] for start in range(0, len(table), BATCH)]
    batches = evaluation_batches(task, table, model.tokenizer, rows, lambda row: (row,))
    model.eval()
    vectors = torch.cat([model(**batch).outputs["embeddings"] for batch in batches])
    gap = float((vectors - plain.vectors(task.layer)).abs().max())
    if gap > 1e-5:
        raise SystemExit(
            f"The vectors of layer {task.layer} differ from transformers' by {gap:.1e}."
        )


if __name__ == "__main__":
    sys.exit(main())
