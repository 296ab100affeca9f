"""Where rows come from: the Hugging Face Hub or a mirror of it, files, Python lists.

Only this package reads datasets. Creating a source reads no data: `rows` reads, `available` lists
the languages of a split.
"""

from jiantx.sources.base import DataError, DerivedSource, Row, Source, data_root
from jiantx.sources.class_labels import class_names, decode_class_labels, iter_rows
from jiantx.sources.containers import as_row, iter_items
from jiantx.sources.file_formats import Conll, Csv, Json, Squad, Tsv
from jiantx.sources.files import Files, Reader
from jiantx.sources.function_rows import MissingColumn, Undecoded, call_on_row, function_name, plain
from jiantx.sources.hub import Hub
from jiantx.sources.local_files import LocalFiles
from jiantx.sources.memory import Concat, Rows
from jiantx.sources.readers import (
    read_bucc,
    read_ccgbank,
    read_conll,
    read_conllu,
    read_csv,
    read_dependencies,
    read_dnc_folds,
    read_edges,
    read_flores,
    read_json,
    read_jsonl,
    read_laser,
    read_lines,
    read_mewslix,
    read_senteval,
    read_squad,
    read_supertags,
    read_text,
    read_tsv,
    read_word_tags,
    read_xquad_r,
    read_xquad_r_sentences,
    read_xtreme_tsv,
)
from jiantx.sources.split import Split
from jiantx.sources.storing import HELD, as_held, in_memory
from jiantx.sources.unfold import Unfold

__all__ = [
    "Concat",
    "Conll",
    "Csv",
    "HELD",
    "DataError",
    "DerivedSource",
    "Files",
    "Hub",
    "Json",
    "LocalFiles",
    "MissingColumn",
    "Reader",
    "Row",
    "Rows",
    "Source",
    "Split",
    "Squad",
    "Tsv",
    "Undecoded",
    "Unfold",
    "as_held",
    "as_row",
    "call_on_row",
    "class_names",
    "data_root",
    "decode_class_labels",
    "function_name",
    "in_memory",
    "iter_items",
    "iter_rows",
    "plain",
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
