"""Tatoeba as the MTEB project runs it: XX to English, prefixes on both sides, the last layer.

The scores are those of https://github.com/embeddings-benchmark/results, in
`results/intfloat__multilingual-e5-small/fd1525a9fd15316a2d503bf26ab031a61d056e98/Tatoeba.json`
(MTEB 1.36). Another folder of that repository holds scores without prefixes, which are lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedModel

import jiantx as jx

MODEL = "intfloat/multilingual-e5-small"
PREFIX = "query: "
PUBLISHED = {
    "ar": 80.7,
    "de": 98.0,
    "el": 89.7,
    "es": 95.4,
    "eu": 65.8,
    "fi": 77.1,
    "fr": 93.0,
    "hi": 95.8,
    "ja": 87.5,
    "jv": 62.4390,
    "ka": 87.5335,
    "kk": 83.8261,
    "ml": 96.6521,
    "mr": 91.6,
    "ru": 92.3,
    "sw": 75.8974,
    "te": 92.7350,
    "tl": 87.6,
    "tr": 92.6,
    "vi": 91.7,
    "zh": 92.4,
}


def foreign(row: jx.sources.Row) -> str:
    """The query."""
    return PREFIX + str(row["source_sentence"]).strip()


def english(row: jx.sources.Row) -> str:
    """The candidate."""
    return PREFIX + str(row["target_sentence"]).strip()


TASK = jx.get_task("tatoeba").replace(
    name="tatoeba_mteb", query=foreign, candidate=english, layer=None, depth=1.0, pooling="mean"
)


@dataclass(frozen=True)
class LanguageScores:
    """Accuracies of one language, 0–100.

    Args:
        language: Its code.
        published: By the MTEB project, for the original weights.
        ours: By jiantx.
        plain: By transformers and numpy, from the same weights.
    """

    language: str
    published: float
    ours: float
    plain: float


def score(encoder: str, languages: Sequence[str]) -> list[LanguageScores]:
    """Score an encoder by jiantx, and without it.

    Args:
        encoder: A folder, or an id on the Hub.
        languages: Codes of `PUBLISHED`.
    """
    model = jx.MultitaskModel.from_pretrained(encoder, [TASK])
    report = jx.evaluate(model, TASK, split="test", languages=languages, batch_size=64)
    ours = report.mean(by="language")
    return [
        LanguageScores(language, PUBLISHED[language], ours[language], plain(encoder, language))
        for language in languages
    ]


def plain(encoder: str, language: str) -> float:
    """The accuracy by transformers and numpy: padded batches, mean over the attention mask.

    Args:
        encoder: A folder, or an id on the Hub.
        language: A code of `PUBLISHED`.
    """
    rows = TASK.rows("test", language)
    queries = _vectors(encoder, [foreign(row) for row in rows])
    candidates = _vectors(encoder, [english(row) for row in rows])
    nearest = (queries @ candidates.T).argmax(axis=1)
    return 100 * float(np.mean(nearest == np.arange(len(rows))))


@cache
def _load(encoder: str) -> tuple[Any, PreTrainedModel]:
    model = AutoModel.from_pretrained(encoder, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(encoder), model.eval()


@torch.no_grad()
def _vectors(encoder: str, texts: Sequence[str]) -> np.ndarray:
    """(texts, hidden) unit vectors."""
    tokenizer, model = _load(encoder)
    vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for start in range(0, len(texts), 64):
        indices = by_length[start : start + 64]
        batch = tokenizer(
            [texts[index] for index in indices],
            padding=True,
            truncation=True,
            max_length=TASK.max_length,
            return_tensors="pt",
        )
        states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None]
        pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
        vectors[indices] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    return vectors
