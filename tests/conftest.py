"""Tiny tokenizers, encoders and tasks, built in memory: what the tests share."""

from __future__ import annotations

import gc
import json
import os
import random
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before it is read: a missing model is asked for once
import torch
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import jiantx as jx
from jiantx.batching import Batch, collate
from jiantx.features import load_features
from jiantx.metrics import micro_f1, squad_v2_exact, squad_v2_f1
from jiantx.sources.base import forget_data_root
from jiantx.synthetic import pretraining

WORDS = {
    "en": "the a cat dog sees eats red green house river in on of and quickly slowly not where who tall".split(),
    "de": "der die katze hund sieht isst rot grün haus fluss und nicht schnell straße".split(),
    "ar": "كتاب قلم بيت ولد يقرأ نهر كبير صغير".split(),
    "hi": "घर नदी लड़का किताब पढ़ता है बड़ा".split(),
    "zh": "猫 狗 看见 红色 房子 河流 我们 吃".split(),
    "th": "แมว หมา เห็น บ้าน แม่น้ำ กิน".split(),
}
PUNCTUATION = ".,?!'\"()-:0123456789"
LETTERS = sorted(
    set(
        unicodedata.normalize("NFKC", "".join(word for tokens in WORDS.values() for word in tokens))
    )
    | set("abcdefghijklmnopqrstuvwxyzABCDE")
)


# --- every test -----------------------------------------------------------------------------------


MAX_SECONDS = 20.0  # a busy machine takes several times as long, and the first use of a library too


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test without the mark `slow` that takes long, in seconds of CPU of the thread that runs it."""
    started = time.thread_time()
    result = yield
    seconds = time.thread_time() - started
    if seconds > MAX_SECONDS and item.get_closest_marker("slow") is None:
        pytest.fail(f"This test took {seconds:.1f} s. Mark it slow, or make it quicker.")
    return result


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a function by its name and not by its address: all test processes need the same ids."""
    return getattr(val, "__name__", None) if isinstance(val, FunctionType) else None


@pytest.fixture(scope="session", autouse=True)
def _quiet_machine() -> None:
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    # every training collects garbage: what was imported and gathered until here is none
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """No test cuts the power: what a killed process wrote is there without a sync."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JIANTX_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("JIANTX_DATA", raising=False)
        yield


@pytest.fixture(autouse=True)
def _own_data_root() -> Iterator[None]:
    yield
    forget_data_root()


@pytest.fixture(autouse=True)
def _own_verbosity() -> Iterator[None]:
    """What a program says, bars included, depends on it: none must leave it changed."""
    verbosity = transformers.utils.logging.get_verbosity()
    yield
    transformers.utils.logging.set_verbosity(verbosity)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The default root, made small, once a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JIANTX_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(
            pretraining, "SIZES", {"train_examples": 24, "eval_examples": 12, "text_lines": 3000}
        )
        yield


# --- tokenizers -----------------------------------------------------------------------------------


def _unigram(special: Sequence[str], template: dict[str, Any], unk: str = "<unk>") -> Tokenizer:
    """All letters and some words as pieces; `special` first, <mask> last."""
    pieces = [(piece, 0.0) for piece in special]
    pieces += [("▁" + word, -5.0) for words_of_script in WORDS.values() for word in words_of_script]
    pieces += [(piece, -8.0) for piece in ("▁", "ing", "er", "st", "at")]
    pieces += [(letter, -10.0) for letter in (*LETTERS, *PUNCTUATION)]
    tokenizer = Tokenizer(
        models.Unigram([*dict(pieces).items(), ("<mask>", 0.0)], unk_id=special.index(unk))
    )
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokens = [(name, tokenizer.token_to_id(name)) for name in (*special, "<mask>")]
    tokenizer.post_processor = processors.TemplateProcessing(special_tokens=tokens, **template)
    return tokenizer


def _fast(tokenizer: Tokenizer, **kwargs: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **kwargs)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Like XLM-R's: <s> 0, <pad> 1, </s> 2, <unk> 3, <mask> last; no segment ids; five scripts."""
    template = {"single": "<s> $A </s>", "pair": "<s> $A </s> </s> $B </s>"}
    return _fast(
        _unigram(("<s>", "<pad>", "</s>", "<unk>"), template),
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def t5_tokenizer() -> PreTrainedTokenizerFast:
    """Like T5's: no first token of its own; <pad> 0, </s> 1, <unk> 2."""
    template = {"single": "$A </s>", "pair": "$A </s> $B </s>"}
    return _fast(
        _unigram(("<pad>", "</s>", "<unk>"), template),
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def bert_tokenizer() -> PreTrainedTokenizerFast:
    """Like BERT's: WordPiece, [PAD] 0, [CLS], [SEP], segment ids."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary_words = [word for vocabulary_words in WORDS.values() for word in vocabulary_words]
    pieces = dict.fromkeys(
        [
            *names,
            *vocabulary_words,
            *LETTERS,
            *PUNCTUATION,
            *("##" + letter for letter in LETTERS),
            "##ing",
        ]
    )
    vocabulary = {piece: token_id for token_id, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, handle_chinese_chars=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return _fast(
        tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def roberta_tokenizer() -> PreTrainedTokenizerFast:
    """Like RoBERTa's: byte-level BPE, words known by the space before them, no segment ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [" ".join(words_of_script) for words_of_script in WORDS.values()] * 3,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
    return _fast(
        tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )


# --- encoders -------------------------------------------------------------------------------------

_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 514,
}
_NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
_WIDE = {"initializer_range": 0.1}  # so that it matters what a token sees, also at 32 wide
# family -> model type, what its config says beside `_SIZES`
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "xlm-r": ("xlm-roberta", {**_NO_DROPOUT, **_WIDE, "type_vocab_size": 1}),
    "bert": ("bert", {**_NO_DROPOUT, **_WIDE}),
    "roberta": ("roberta", {**_NO_DROPOUT, **_WIDE, "type_vocab_size": 1}),
    "camembert": ("camembert", {**_NO_DROPOUT, **_WIDE, "type_vocab_size": 1}),
    "xlm-r-xl": ("xlm-roberta-xl", {**_NO_DROPOUT, **_WIDE, "type_vocab_size": 1}),
    "xmod": (
        "xmod",
        {
            **_NO_DROPOUT,
            **_WIDE,
            "type_vocab_size": 1,
            "languages": ["en_XX"],
            "default_language": "en_XX",
        },
    ),
    "distilbert": (
        "distilbert",
        {
            **_WIDE,
            "dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 64,
            "dropout": 0.0,
            "attention_dropout": 0.0,
        },
    ),
    "electra": ("electra", {**_NO_DROPOUT, **_WIDE, "embedding_size": 32}),
    "modernbert": (
        "modernbert",
        {**_WIDE, "local_attention": 16, "global_attn_every_n_layers": 2, "num_hidden_layers": 3},
    ),
    "albert": ("albert", {**_NO_DROPOUT, **_WIDE, "embedding_size": 16}),
    "mpnet": ("mpnet", {**_NO_DROPOUT, **_WIDE}),
    "deberta-v2": (
        "deberta-v2",
        {
            **_NO_DROPOUT,
            **_WIDE,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
        },
    ),
    "rembert": (
        "rembert",
        {**_NO_DROPOUT, **_WIDE, "input_embedding_size": 16, "classifier_dropout_prob": 0.0},
    ),
    "t5": (
        "t5",
        {
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 2,
            "num_heads": 4,
            "dropout_rate": 0.0,
        },
    ),
    "mbart": (
        "mbart",
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "dropout": 0.0,
        },
    ),
}
_TOKENIZER_OF = {
    **dict.fromkeys(("bert", "distilbert", "electra", "modernbert", "albert"), "bert_tokenizer"),
    **dict.fromkeys(("deberta-v2", "rembert"), "bert_tokenizer"),
    "roberta": "roberta_tokenizer",
    "t5": "t5_tokenizer",
}


def config_of(
    family: str, tokenizer: PreTrainedTokenizerFast, **changes: Any
) -> transformers.PreTrainedConfig:
    """The config of a tiny encoder for a tokenizer."""
    kind, values = FAMILIES[family]
    names = {"pad": "pad", "bos": "cls", "eos": "sep", "cls": "cls", "sep": "sep"}
    ids = {
        f"{our_name}_token_id": getattr(tokenizer, f"{family_name}_token_id")
        for our_name, family_name in names.items()
    }
    if kind == "t5":
        ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    sizes = {} if kind in ("distilbert", "t5", "mbart") else _SIZES
    if kind == "distilbert":
        sizes = {"max_position_embeddings": 514}
    return transformers.AutoConfig.for_model(
        kind, **{**ids, **sizes, **values, "vocab_size": len(tokenizer), **changes}
    )


EncoderFolder = Callable[..., Path]
ModelOf = Callable[..., "jx.MultitaskModel"]


@pytest.fixture(scope="session")
def tokenizer_of(request: pytest.FixtureRequest) -> Callable[[str], PreTrainedTokenizerFast]:
    """The tokenizer that goes with a family."""
    return lambda family: request.getfixturevalue(_TOKENIZER_OF.get(family, "tokenizer"))


@pytest.fixture(scope="session")
def encoder_folder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_of: Callable[[str], PreTrainedTokenizerFast]
) -> EncoderFolder:
    """(family, tokenizer=None, *, auto=AutoModel, seed=0, **config changes) -> folder of a tiny
    random encoder.
    """

    @cache
    def made(
        family: str, tokenizer: PreTrainedTokenizerFast, auto: Any, seed: int, changes: str
    ) -> Path:
        config = config_of(family, tokenizer, **json.loads(changes))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if auto is not None:
                encoder: PreTrainedModel = auto.from_config(config)
            elif family == "t5":
                encoder = transformers.T5EncoderModel(config)
            else:
                encoder = transformers.AutoModel.from_config(config)
        for parameter in encoder.parameters():  # biases and norms that are not all 0 or 1
            if parameter.dim() == 1:
                generator = torch.Generator().manual_seed(parameter.numel())
                parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
        folder = tmp_path_factory.mktemp(family)
        encoder.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    def folder(
        family: str = "xlm-r",
        tokenizer: PreTrainedTokenizerFast | None = None,
        *,
        auto: Any = None,
        seed: int = 0,
        **changes: Any,
    ) -> Path:
        return made(
            family,
            tokenizer or tokenizer_of(family),
            auto,
            seed,
            json.dumps(changes, sort_keys=True),
        )

    return folder


@pytest.fixture(scope="session")
def model_of(encoder_folder: EncoderFolder) -> ModelOf:
    """(tasks, family="xlm-r", padding_free="auto", seed=0, **config changes) -> a fresh model,
    heads from the seed.
    """

    def made(
        tasks: Sequence[jx.Task],
        family: str = "xlm-r",
        *,
        padding_free: Any = "auto",
        seed: int = 0,
        **changes: Any,
    ) -> jx.MultitaskModel:
        path = encoder_folder(family, **changes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return jx.MultitaskModel.from_pretrained(path, tasks, padding_free=padding_free)

    return made


def batch_of(
    task: jx.Task,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[int] | slice = slice(None),
    split: str = "train",
    language: str = "en",
) -> Batch:
    """A flat batch of some features of a task; the masking of a row depends on the row alone."""
    table = load_features(task, split, language, tokenizer).table
    numbers = list(range(len(table)))[rows] if isinstance(rows, slice) else list(rows)
    return collate(
        task,
        table.with_format("arrow")[numbers],
        tokenizer,
        [("test", index) for index in numbers],
    )


# --- tasks ----------------------------------------------------------------------------------------


def sentence(rng: random.Random, length: int, language: str = "en") -> str:
    return " ".join(rng.choices(WORDS[language], k=length))


def classified(number: int, language: str = "en", seed: int = 0) -> list[dict[str, Any]]:
    """Texts of 2 to 30 words whose label is in their first word."""
    rng = random.Random(f"{seed}{language}")
    rows = []
    for i in range(number):
        text_words = sentence(rng, rng.choice((1, 3, 8, 30)), language)
        label = ("no", "perhaps", "yes")[i % 3]
        rows.append(
            {
                "id": f"{language}{i}",
                "text": f"{WORDS[language][i % 3]} {text_words}",
                "label": label,
            }
        )
    return rows


def _tiny_tasks() -> dict[str, jx.Task]:
    rng = random.Random(0)
    languages = ("en", "de", "zh")
    pairs = [{**row, "pair": sentence(rng, 4 + i % 5)} for i, row in enumerate(classified(16))]
    several = [
        {
            "text": sentence(rng, 3 + i % 9),
            "labels": [n for j, n in enumerate(("big", "new", "old")) if (i >> j) & 1],
        }
        for i in range(16)
    ]
    rated = [
        {"text": sentence(rng, 2 + i % 7), "label": round(5 * (i % 8) / 7, 2)} for i in range(16)
    ]
    tagged = []
    for i in range(16):
        text_words = rng.choices(WORDS["en"], k=2 + 5 * (i % 4))
        tags = ["B-X" if word in ("cat", "dog", "house", "river") else "O" for word in text_words]
        tagged.append({"tokens": text_words, "tags": tags})
    questions = []
    for i in range(16):
        text_words = rng.choices(WORDS["en"][:12], k=6 + 9 * (i % 4))
        answer_index = rng.randrange(len(text_words))
        text_words[answer_index] = "quickly"
        start = len(" ".join(text_words[:answer_index])) + (answer_index > 0)
        answers = (
            {"text": [], "answer_start": []}
            if i % 4 == 3
            else {"text": ["quickly"], "answer_start": [start]}
        )
        if i % 4 == 3:
            text_words[answer_index] = "slowly"
        questions.append(
            {
                "id": f"q{i}",
                "question": "where quickly",
                "context": " ".join(text_words),
                "answers": answers,
            }
        )
    chosen = [
        {
            "prompt": sentence(rng, 3 + i % 6),
            "choices": [
                ("yes " if j == i % 2 else "no ") + sentence(rng, 1 + j) for j in range(2 + i % 3)
            ],
            "label": i % 2,
        }
        for i in range(16)
    ]
    related, edges = [], []  # spans of one target a text, and targets of one text
    for i in range(16):
        forms = rng.choices(WORDS["en"], k=4 + 5 * (i % 4))
        head, other = rng.sample(range(2, len(forms)), 2)
        forms[head] = ("cat", "river")[i % 2]
        label = ("still", "moving")[i % 2]
        spans = {"span1": [head, head + 1], "span2": [min(other, 1), other + 1]}
        related.append({"text": " ".join(forms), **spans, "label": label})
        for count in range(3):
            span = [head - min(count, head), head + 1]
            labels = [name for name, bit in (("odd", i % 2), ("long", count)) if bit]
            edges.append({"text": forms, "span1": span, "label": labels})
    matched = [
        {"id": f"r{i}", "query": sentence(rng, 2 + i % 5), "candidate": sentence(rng, 3 + i % 4)}
        for i in range(16)
    ]
    lines = {
        language: [{"text": sentence(rng, 6 + 8 * (i % 3), language)} for i in range(16)]
        for language in languages
    }

    def split(rows: Any) -> jx.Rows:
        return jx.Rows({"train": rows, "validation": rows})

    by_language = {language: classified(12, language, 1) for language in languages}
    return {
        "classification": jx.Classification(
            name="mood",
            source=jx.Rows({"train": classified(16), "validation": by_language}),
            labels=("no", "perhaps", "yes"),
        ),
        "pair": jx.Classification(
            name="pairs", source=split(pairs), labels=("no", "perhaps", "yes"), text_pair="pair"
        ),
        "multi_label": jx.Classification(
            name="topics",
            source=split(several),
            labels=("big", "new", "old"),
            label="labels",
            multi_label=True,
            metrics=(micro_f1,),
        ),
        "regression": jx.Regression(name="stars", source=split(rated), low=0.0, high=5.0),
        "tagging": jx.TokenClassification(
            name="entities", source=split(tagged), labels=("O", "B-X")
        ),
        "qa": jx.QuestionAnswering(
            name="answers",
            source=split(questions),
            unanswerable=True,
            max_length=32,
            stride=8,
            metrics=(squad_v2_exact, squad_v2_f1),
        ),
        "choice": jx.MultipleChoice(name="choices", source=split(chosen)),
        "retrieval": jx.Retrieval(name="pairing", source=split(matched), top=3),
        "spans": jx.SpanClassification(
            name="related", source=split(related), labels=("still", "moving"), span2="span2"
        ),
        "edges": jx.SpanClassification(
            name="edges",
            source=split(edges),
            labels=("odd", "long", "never"),
            multi_label=True,
            dropout=0.0,
            metrics=(micro_f1,),
        ),
        "mlm": jx.MaskedLM(
            name="lines", source=jx.Rows({"train": lines, "validation": lines}), mask_share=0.3
        ),
    }


@pytest.fixture(scope="session")
def tiny_tasks() -> dict[str, jx.Task]:
    """Small tasks: classification, pair, multi_label, regression, tagging, qa, choice, retrieval,
    spans, edges, mlm.
    """
    return _tiny_tasks()
