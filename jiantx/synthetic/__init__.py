"""A small artificial world, written in the columns and file formats of the real datasets.

The world has people, towns, organisations, things, and events that connect them. A meaning (an
`Event`) is a small frozen value, and a `Language` renders it as tagged words, so that sentences are
parallel by construction. `write_root` writes the world as a data root, which `jiantx.data_root`
reads in place of the real data.

**The languages are artificial.** They borrow the codes `en, de, es, ru, ar, zh` because the task
declarations list real codes; no score on them says anything about German or Chinese. English is a
plain subset of English, so that a person can read along. Each of the others differs from it by
amounts that `distance` measures: how many words look like the English ones, how the words are
ordered, and the script.

Everything here is a function of a seed: the same arguments write the same rows.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jiantx.synthetic.hub_datasets import TABLES, Table
from jiantx.synthetic.language_distance import distance
from jiantx.synthetic.languages import LANGUAGES, Language, lexicon
from jiantx.synthetic.rendering import Sentence, Word, render
from jiantx.synthetic.root import write_root
from jiantx.synthetic.world import Event, Phrase

if TYPE_CHECKING:
    from jiantx.synthetic.pretraining import default_encoder, default_root

__all__ = [
    "LANGUAGES",
    "TABLES",
    "Event",
    "Language",
    "Phrase",
    "Sentence",
    "Table",
    "Word",
    "default_encoder",
    "default_root",
    "distance",
    "lexicon",
    "render",
    "write_root",
]


def __getattr__(name: str) -> Any:
    # Pretraining imports torch and transformers, which whoever only reads the world does not need.
    if name in ("default_encoder", "default_root"):
        return getattr(import_module("jiantx.synthetic.pretraining"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
