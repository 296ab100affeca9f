"""Plan the training of an encoder: parameters, GPU memory and hours. Needs no weights and no GPU.

    python examples/plan_memory.py
    python examples/plan_memory.py --length 512 --encoders xlm-roberta-xxl runs/encoder

The program makes each model on torch's meta device and counts its parameters. Then it runs one
forward pass on fake tensors, which have shapes and no data. `saved_tensors_hooks` see each tensor
that is saved for the backward pass. Encoders that are not listed below are Hub ids or folders.
"""

from __future__ import annotations

import warnings
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, HfArgumentParser, PreTrainedConfig
from transformers.utils import logging

import jiantx as jx


def _roberta(kind: str, vocabulary: int, hidden: int, layers: int, heads: int) -> dict[str, Any]:
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    more = {
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "pad_token_id": 1,
    }
    return {"model_type": kind, "vocab_size": vocabulary, **sizes, **more}


def _mt5(hidden: int, layers: int, heads: int, inner: int) -> dict[str, Any]:
    sizes = {"d_model": hidden, "num_layers": layers, "num_heads": heads, "d_ff": inner, "d_kv": 64}
    return {"model_type": "mt5", "vocab_size": 250_112, "feed_forward_proj": "gated-gelu", **sizes}


# From config.json on the Hub: FacebookAI/xlm-roberta-{base,large}, facebook/xlm-roberta-{xl,xxl},
# google/mt5-{large,xl,xxl}.
ENCODERS = {
    "xlm-roberta-base": _roberta("xlm-roberta", 250_002, 768, 12, 12),
    "xlm-roberta-large": _roberta("xlm-roberta", 250_002, 1024, 24, 16),
    "xlm-roberta-xl": _roberta("xlm-roberta-xl", 250_880, 2560, 36, 32),
    "xlm-roberta-xxl": _roberta("xlm-roberta-xl", 250_880, 4096, 48, 32),
    "mt5-large": _mt5(1024, 24, 16, 2816),
    "mt5-xl": _mt5(2048, 24, 32, 5120),
    "mt5-xxl": _mt5(4096, 24, 64, 10240),
}
HEADS: dict[str, dict[str, Any]] = {
    "mlm": {"type": "masked_lm"},
    "labels": {"type": "classification", "labels": ["a", "b", "c"], "multi_label": False},
}
MASKED = 0.15  # share of the tokens that masked LM predicts
WAYS = ("float32", "bf16", "bf16, checkpointing", "LoRA, checkpointing")
SIZES = "Parameters in millions; MiB of activations that a token keeps for the backward pass"
MEMORY = (
    "GiB on a GPU that trains on {tokens:,} tokens at once; "
    "the smallest GPU that holds it with a tenth to spare"
)
EMBEDDINGS = (
    "GiB of the embeddings' gradient and moments on one GPU, if the training data use {used:,} "
    "embeddings"
)
TIME = "Hours for {train_tokens:,.0f} tokens at an assumed {tflops:g} TFLOP/s a GPU"
GPUS = (24, 40, 80)  # GiB
USABLE = 0.9  # share of a GPU; the rest is for short-lived tensors, kernels and fragmentation


@dataclass
class Options:
    """The arguments of the program."""

    encoders: list[str] = field(
        default_factory=lambda: [name for name in ENCODERS if name not in ("mt5-large", "mt5-xl")],
        metadata={"help": f"Hub ids, folders, or of {', '.join(ENCODERS)}"},
    )
    tokens: int = field(default=4096, metadata={"help": "on a GPU at once (default: 4096)"})
    length: int = field(default=128, metadata={"help": "tokens of a sequence (default: 128)"})
    gpus: int = field(default=8, metadata={"help": "under FSDP (default: 8)"})
    used: int = field(
        default=20_000,
        metadata={
            "help": "embeddings that the training data use (default: 20,000, about as many as "
            "30,743 rows of MNLI)"
        },
    )
    train_tokens: float = field(
        default=1e8, metadata={"help": "tokens of the whole training (default: 100 million)"}
    )
    tflops: float = field(
        default=125,
        metadata={
            "help": "TFLOP/s of a GPU (default: 125, an assumption: 40 %% of the 312 in bf16 of an "
            "A100's data sheet)"
        },
    )


@dataclass(frozen=True)
class Need:
    """Bytes that one way of training needs.

    Args:
        weights: Of all parameters.
        gradients: Of the trained parameters.
        optimizer: AdamW's two moments.
        copies: Of the weights in bf16, which autocast keeps until the backward pass.
        activations: Saved for the backward pass, for each token.
        adapters: LoRA's parameters; a count, not bytes.
    """

    weights: int
    gradients: int
    optimizer: int
    copies: float
    activations: float
    adapters: int


def make(config: PreTrainedConfig, *, lora: bool = False, device: str = "meta") -> Any:
    """Make the model as jiantx trains it: without dropout of attention probabilities.

    Args:
        config: The encoder's.
        lora: Make the encoder in bf16, with LoRA adapters.
        device: "meta" makes parameters without data.
    """
    changes = {
        name: 0.0
        for name in ("attention_probs_dropout_prob", "attention_dropout")
        if hasattr(config, name)
    }
    dtype = torch.bfloat16 if lora else torch.float32
    config = AutoConfig.for_model(**{**config.to_dict(), **changes, "dtype": dtype})
    with torch.device(device):
        model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads=HEADS)).train()
        if lora:
            from peft import get_peft_model

            get_peft_model(model, model.lora_config())  # in place
    return model


def step(model: jx.MultitaskModel, head: str, sequences: int, length: int) -> Tensor:
    """Return the loss of a training step. All sequences have one length: no token is padding.

    Args:
        model: Made by `make`.
        head: A key of `HEADS`.
        sequences: In the batch.
        length: Tokens of each sequence.
    """
    input_ids = torch.full((sequences, length), 5)
    states = model.encoder(input_ids=input_ids).last_hidden_state.flatten(0, 1)
    if head == "mlm":
        positions = torch.arange(int(MASKED * sequences * length))
        batch = {"masked_positions": positions, "embedding": model.get_input_embeddings().weight}
    else:
        positions = torch.arange(sequences) * length
        batch = {"starts": positions}
    loss: Tensor = model.heads[head](states, {**batch, "labels": torch.zeros_like(positions)}).loss
    return loss


def saved_bytes(model: jx.MultitaskModel, run: Callable[[], Tensor], *, bf16: bool) -> int:
    """Count the bytes that a forward pass saves for the backward pass, without the parameters.

    Args:
        model: Whose parameters are left out.
        run: The forward pass.
        bf16: Run it under autocast.
    """
    of_parameters = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    # holds each: a freed one's address would come again
    saved: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in of_parameters:
            saved[storage._cdata] = storage
        return tensor.detach()  # an output would hold the graph that holds it

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        run()
    return sum(storage.nbytes() for storage in saved.values())


def activations(
    model: jx.MultitaskModel, head: str, length: int, *, bf16: bool
) -> tuple[float, float]:
    """Count the bytes that a forward pass saves, from two batches of different size.

    Returns:
        Bytes for each token, and bytes that do not grow with the tokens (copies of the weights).
    """
    few, many = (
        saved_bytes(model, partial(step, model, head, n, length), bf16=bf16) for n in (20, 40)
    )
    return (many - few) / (20 * length), 2 * few - many


def need(model: jx.MultitaskModel, way: str, length: int) -> Need:
    """Compute what a model on the meta device would need.

    Args:
        model: Made by `make`; it is on the CPU, as fake tensors, afterwards.
        way: One of `WAYS`.
        length: Tokens of each sequence.
    """
    parameters = list(model.parameters())
    weights = sum(p.nbytes for p in parameters)
    gradients = sum(p.nbytes for p in parameters if p.requires_grad)
    adapters = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        token, copies = activations(model, "labels", length, bf16=way != "float32")
        if "checkpointing" in way:  # every layer's input is kept; a layer at a time is run again
            model.activation_checkpointing_enable()
            inputs, _ = activations(model, "labels", length, bf16=True)
            token = inputs + (token - inputs) / model.encoder.config.num_hidden_layers
    # AdamW keeps two moments of each trained parameter
    return Need(weights, gradients, 2 * gradients, copies, token, adapters)


def embedding_cells(model: jx.MultitaskModel, used: int) -> list[str]:
    """Return the cells that say what training only the used embeddings saves.

    Args:
        model: Made by `make`.
        used: Embeddings that the training data use.
    """
    weight = model.get_input_embeddings().weight
    rows = len(weight)
    used = min(used, rows)
    row_bytes = weight[0].nbytes
    all_trained = 3 * rows * row_bytes  # the gradient and AdamW's two moments
    used_trained = 3 * used * row_bytes
    copy = used * row_bytes  # beside the whole matrix
    sizes = (all_trained, used_trained, copy, all_trained - used_trained - copy)
    return [f"{rows:,}", *(f"{size / 2**30:,.2f}" for size in sizes)]


def smallest(size: float) -> str:
    """Return the smallest GPU that holds so many bytes."""
    for gpu in GPUS:
        if size <= USABLE * gpu * 2**30:
            return f"{gpu} GB"
    return "none"


def plan(name: str, options: Options) -> Iterator[tuple[str, list[str]]]:
    """Yield the lines of an encoder.

    Args:
        name: A key of `ENCODERS`, a Hub id or a folder.
        options: The program's arguments.

    Yields:
        The title of a table, and the cells of one of its lines.
    """
    if name in ENCODERS:
        config = AutoConfig.for_model(**ENCODERS[name])
    else:
        config = AutoConfig.from_pretrained(name)
    model = make(config)
    total = model.encoder.num_parameters()
    inner = jx.experiments.parameter_count(config)
    layer = inner / config.num_hidden_layers
    embeddings = total - inner
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        mlm, labels = (activations(model, head, options.length, bf16=True)[0] for head in HEADS)
    needs = {way: need(make(config, lora="LoRA" in way), way, options.length) for way in WAYS}
    counts = [f"{n / 1e6:,.1f}" for n in (total, inner, needs[WAYS[-1]].adapters)]
    tokens = [*(way_needs.activations for way_needs in needs.values()), mlm - labels]
    yield SIZES, [name, *counts, *(f"{size / 2**20:,.2f}" for size in tokens)]
    yield EMBEDDINGS, [name, *embedding_cells(model, options.used)]
    for way, way_needs in needs.items():
        stored = [way_needs.weights, way_needs.gradients, way_needs.optimizer]
        saved = way_needs.activations * options.tokens
        # FSDP shares out what is stored, and gathers the embeddings, a layer and the next one:
        # weights, gradients, and the gradients again, in float32, as they are summed. Frozen bf16
        # beside trained float32 is no case of it.
        gathered = (embeddings + 2 * layer) * (12 if way == "float32" else 8)
        on_one_gpu = sum(stored) + way_needs.copies + saved
        on_many_gpus = sum(stored) / options.gpus + gathered + saved
        columns = [f"{size / 2**30:,.1f}" for size in (*stored, way_needs.copies, saved)]
        columns += [f"{on_one_gpu / 2**30:,.1f}", smallest(on_one_gpu)]
        if way_needs.adapters == 0:
            columns += [f"{on_many_gpus / 2**30:,.1f}", smallest(on_many_gpus)]
        else:
            columns += ["", ""]
        yield MEMORY, [f"{name}, {way}", *columns]
    hours = [n * inner * options.train_tokens / (options.tflops * 1e12) / 3600 for n in (6, 8)]
    hours += [hour / options.gpus for hour in hours]
    yield TIME, [name, *(f"{hour:,.2f}" for hour in hours)]


def main() -> None:
    parser = HfArgumentParser(
        Options, description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    (options,) = parser.parse_args_into_dataclasses()
    logging.set_verbosity_error()  # checkpointing rules out a cache that no encoder has
    # PEFT asks transformers by a name that it renames
    warnings.simplefilter("ignore", FutureWarning)
    tables: dict[str, list[list[str]]] = {SIZES: [], MEMORY: [], EMBEDDINGS: [], TIME: []}
    for name in options.encoders:
        for table, cells in plan(name, options):
            tables[table].append(cells)

    one = "one GPU"
    many = f"each of {options.gpus}, FSDP"
    stored = ["weights", "gradients", "AdamW", "bf16 copies", "activations"]
    headers = {
        SIZES: ["encoder", "parameters", "without embeddings", "LoRA", *WAYS, "masked LM adds"],
        MEMORY: ["encoder, way", *stored, one, "fits", many, "fits"],
        EMBEDDINGS: ["encoder", "embeddings", "all trained", "used trained", "copy", "saved"],
        TIME: [
            "encoder",
            one,
            f"{one}, checkpointing",
            f"{options.gpus} GPUs",
            f"{options.gpus} GPUs, checkpointing",
        ],
    }
    for table, lines in tables.items():
        print(table.format(**vars(options)) + "\n")
        print(jx.report.markdown_table(headers[table], lines))


if __name__ == "__main__":
    main()
