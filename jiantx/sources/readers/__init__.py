"""Readers of file formats: plain functions path -> rows, for `Files`."""

from jiantx.sources.readers.edges import read_dependencies, read_edges, read_word_tags
from jiantx.sources.readers.qa import read_squad, read_xquad_r, read_xquad_r_sentences
from jiantx.sources.readers.retrieval import read_bucc, read_flores, read_laser, read_mewslix
from jiantx.sources.readers.tables import (
    read_csv,
    read_dnc_folds,
    read_json,
    read_jsonl,
    read_lines,
    read_senteval,
    read_text,
    read_tsv,
    read_xtreme_tsv,
)
from jiantx.sources.readers.tagging import read_ccgbank, read_conll, read_conllu, read_supertags

__all__ = [
    "read_bucc",
    "read_ccgbank",
    "read_conll",
    "read_conllu",
    "read_csv",
    "read_dependencies",
    "read_edges",
    "read_dnc_folds",
    "read_flores",
    "read_json",
    "read_jsonl",
    "read_laser",
    "read_lines",
    "read_mewslix",
    "read_senteval",
    "read_squad",
    "read_supertags",
    "read_text",
    "read_tsv",
    "read_word_tags",
    "read_xquad_r",
    "read_xquad_r_sentences",
    "read_xtreme_tsv",
]
