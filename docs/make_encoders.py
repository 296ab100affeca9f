"""Write docs/encoders.md from tiny encoders of every family (`make docs`; a test compares)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from jiantx.encoder_traits import EncoderTraits, probe_encoder

HERE = Path(__file__).parent
_SIZES: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
_TOKENS = {"bos": 0, "cls": 0, "pad": 1, "eos": 2, "sep": 2, "unk": 3, "mask": 99}
_TOKEN_IDS = {f"{name}_token_id": token_id for name, token_id in _TOKENS.items()}
_GROUPED = {"num_key_value_heads": 2}
_LOCAL = {"local_attention": 16}
_RELATIVE = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2}
_T5 = {**_T5, "num_heads": 4, "decoder_start_token_id": 1}
_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "decoder_start_token_id": 2,
}
_FUNNEL = {"block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64}
_GROUPS = ("q", "k", "v", "post_attention", "intermediate", "output")
# families whose configs refuse these, and those that are several models in one
_WITHOUT_SIZES = {
    "funnel": ("num_hidden_layers",),
    "prophetnet": ("num_hidden_layers",),
    "xlnet": ("max_position_embeddings",),
    **dict.fromkeys(("clip", "siglip", "blip", "t5gemma", "llava"), tuple(_SIZES)),
}
_BIDIRECTIONAL = """albert bert bert-generation big_bird camembert data2vec-text distilbert electra
    ernie esmc fnet gte ibert jina_embeddings_v3 layoutlm luke markuplm megatron-bert mpnet mra
    nomic_bert nystromformer rembert roberta roberta-prelayernorm roc_bert roformer splinter
    visual_bert xlm xlm-roberta xlm-roberta-xl yoso""".split()
_CAUSAL = """biogpt bloom ctrl gpt2 gpt_bigcode gpt_neox mpt openai-gpt opt persimmon phi
    xglm""".split()
_GROUPED_CAUSAL = """cohere exaone4 gemma gemma2 gemma3_text glm granite helium llama ministral
    mistral nemotron olmo olmo2 phi3 qwen2 qwen3 smollm3 stablelm starcoder2""".split()
_OTHER_INPUTS = """beit blip bros clip dpr layoutlmv3 lxmert siglip speech_to_text udop vilt vit
    wav2vec2 whisper""".split()
# (name in the table, model type, what its config says beside the sizes)
FAMILIES: list[tuple[str, str, dict[str, Any]]] = [
    *((kind, kind, {}) for kind in _BIDIRECTIONAL),
    ("bert, pad_token_id=-1", "bert", {"pad_token_id": -1}),
    ("big_bird, sparse", "big_bird", {"block_size": 8, "num_random_blocks": 2}),
    ("canine", "canine", {}),
    ("convbert", "convbert", {"embedding_size": 32, "head_ratio": 2}),
    ("deberta", "deberta", _RELATIVE),
    ("deberta-v2", "deberta-v2", _RELATIVE),
    ("esm", "esm", {"position_embedding_type": "rotary"}),
    (
        "esm, token_dropout",
        "esm",
        {"position_embedding_type": "rotary", "token_dropout": True},
    ),
    ("esm, absolute positions", "esm", {"position_embedding_type": "absolute"}),
    ("eurobert", "eurobert", {}),
    ("eurobert, grouped queries", "eurobert", _GROUPED),
    ("flaubert", "flaubert", {}),
    ("funnel", "funnel", _FUNNEL),
    ("funnel, without decoder", "funnel", {**_FUNNEL, "architectures": ["FunnelBaseModel"]}),
    ("lilt", "lilt", {"hidden_size": 96}),
    ("longformer", "longformer", {"attention_window": 8}),
    (
        "mobilebert",
        "mobilebert",
        {"embedding_size": 16, "intra_bottleneck_size": 16, "num_feedforward_networks": 2},
    ),
    ("modernbert", "modernbert", {**_LOCAL, "num_hidden_layers": 3}),
    ("perceiver", "perceiver", {}),
    (
        "reformer",
        "reformer",
        {"axial_pos_shape": [8, 16], "axial_pos_embds_dim": [16, 16], "attention_head_size": 8},
    ),
    (
        "squeezebert",
        "squeezebert",
        {"embedding_size": 32, **{f"{name}_groups": 1 for name in _GROUPS}},
    ),
    ("tapas", "tapas", {}),
    ("xlnet", "xlnet", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}),
    ("xmod", "xmod", {"languages": ["en_XX"], "default_language": "en_XX"}),
    ("xmod, no default_language", "xmod", {"languages": ["en_XX"]}),
    *((kind, kind, _T5) for kind in ("longt5", "mt5", "t5", "umt5")),
    (
        "switch_transformers",
        "switch_transformers",
        {**_T5, "num_sparse_encoder_layers": 1, "num_experts": 2},
    ),
    *((kind, kind, _BART) for kind in "bart blenderbot blenderbot-small led".split()),
    *((kind, kind, _BART) for kind in "m2m_100 marian mbart mvp nllb-moe".split()),
    *((kind, kind, _BART) for kind in "bigbird_pegasus pegasus pegasus_x plbart".split()),
    (
        "prophetnet",
        "prophetnet",
        {"num_encoder_layers": 2, "num_decoder_layers": 2, "encoder_ffn_dim": 64},
    ),
    ("t5gemma", "t5gemma", {}),
    ("bert, is_decoder=True", "bert", {"is_decoder": True}),
    ("xlm-roberta, is_decoder=True", "xlm-roberta", {"is_decoder": True}),
    *((kind, kind, {}) for kind in _CAUSAL),
    *((kind, kind, {**_GROUPED, "head_dim": 8}) for kind in _GROUPED_CAUSAL),
    ("codegen", "codegen", {"rotary_dim": 4}),
    ("falcon", "falcon", {}),
    ("falcon, alibi", "falcon", {"alibi": True}),
    ("gptj", "gptj", {"rotary_dim": 4}),
    ("gpt_neo", "gpt_neo", {"attention_types": [[["global", "local"], 1]], "window_size": 8}),
    ("mamba", "mamba", {"state_size": 4}),
    ("mixtral", "mixtral", {**_GROUPED, "num_local_experts": 2}),
    ("modernbert-decoder", "modernbert-decoder", _LOCAL),
    ("rwkv", "rwkv", {"attention_hidden_size": 32}),
    *((kind, kind, {}) for kind in _OTHER_INPUTS),
]
INTRODUCTION = """# Which encoders jiantx can run

You give `MultitaskModel.from_pretrained` any checkpoint of text that transformers loads, and a fast
tokenizer. No family is listed in the code: jiantx builds a two-layer twin with random weights from
the checkpoint's config and runs it. `probe_encoder` of `jiantx.encoder_traits` shows the result:

```python
from jiantx.encoder_traits import probe_encoder
from transformers import AutoConfig

print(probe_encoder(AutoConfig.from_pretrained("xlm-roberta-base")))
```

`python docs/make_encoders.py` (or `make docs`) writes the tables below from {count} tiny
configs, with transformers {version}. Other values in a config may change the result.

- *Flat* encoders run without padding, with the same states as padded rows to 1e-5. *Padded* ones
  are slower, and jiantx says so. *Refused* ones raise an error.
- *A text is*: the state that classification, regression and multiple choice read, if the
  tokenizer has a CLS token. "first" is the usual CLS token. "last" is for causal encoders, whose
  first token sees nothing, and for tokenizers that put CLS last (XLNet). Without a CLS token all
  encoders are pooled by their mean.
- *Inner layers*: what `Retrieval(layer=k)` costs. "k layers" runs no layer above k. "all layers"
  runs all of them (the layers are shared, or turn their states around). "no": such a task is
  refused, since not every token has a state there.
- *Padding seen*: the states of a text change with the padding beside it, so the same text gets
  slightly other scores in another batch. jiantx warns once.
- An encoder-decoder is read at its encoder; the decoder is kept, and saved as it was.
- In a causal encoder, a token sees only the tokens before it. Tagging and question answering run,
  but a bidirectional encoder suits them better.
"""
FLAT = "## Flat\n\nThese families run without padding.\n"
PADDED = "## Padded\n\nThese families run in padded batches.\n"
REFUSED = """## Refused

`from_pretrained` raises ValueError with this reason. If one value of the config is at fault, as
with X-MOD, give another: `from_pretrained(path, tasks, default_language="en_XX")`.
"""


def config_of(kind: str, changes: dict[str, Any]) -> PreTrainedConfig:
    """A tiny config of a model type, with its own names for the sizes."""
    config_class = CONFIG_MAPPING[kind]
    values = {**_SIZES, **_TOKEN_IDS}
    for name in _WITHOUT_SIZES.get(kind, ()):
        del values[name]
    own_names = config_class.attribute_map
    values = {own_names.get(name, name): value for name, value in values.items()}
    changes = {own_names.get(name, name): value for name, value in changes.items()}
    return AutoConfig.for_model(kind, **{**values, **changes})


def cells(traits: EncoderTraits, config: PreTrainedConfig) -> list[str]:
    """What the table says of a family that serves."""
    return [
        "last" if traits.is_causal or config.model_type == "xlnet" else "first",
        {"inputs": "k layers", "collected": "all layers", "none": "no"}[traits.inner_layers],
        "yes" if traits.depends_on_padding else "",
    ]


def rows() -> Iterator[tuple[str, PreTrainedConfig, EncoderTraits]]:
    """(name, config, traits) of every family, by name."""
    for name, kind, changes in sorted(FAMILIES, key=lambda family: family[0]):
        config = config_of(kind, changes)
        yield name, config, probe_encoder(config)


def table(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    all_lines = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in all_lines)


def page() -> str:
    """The whole page."""
    flat: list[list[str]] = []
    padded: list[list[str]] = []
    refused: list[list[str]] = []
    for name, config, traits in rows():
        if traits.refusal is not None:
            refused.append([name, traits.refusal])
        else:
            lines = padded if traits.first_position is None else flat
            lines.append([name, *cells(traits, config)])
    header = ["family", "a text is", "inner layers", "padding seen"]
    sections = [
        INTRODUCTION.format(count=len(FAMILIES), version=transformers.__version__),
        FLAT,
        table(header, flat),
        PADDED,
        table(header, padded),
        REFUSED,
        table(["family", "reason"], refused),
    ]
    return "\n".join(sections)


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    (HERE / "encoders.md").write_text(page(), encoding="utf-8")
