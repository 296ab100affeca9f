"""Where rows come from: the Hugging Face Hub or a mirror of it, files, Python lists. Only this module reads data sets.

Making a source opens nothing. `rows` reads, `available` asks what is there.
"""

from __future__ import annotations

import csv
import glob
import gzip
import hashlib
import itertools
import json
import os
import re
import secrets
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiantx.cache import cache_dir, fingerprint_text, load_or_write

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

Row = dict[str, Any]
Reader = Callable[[Path], Iterable[Row]]
Languages = Sequence[str] | Mapping[str, str]
Splits = Mapping[str, str | Sequence[str]]


class DataError(ValueError):
    """Data that are not what a task expects: what was found, what was expected, what to do."""


_UNSET = object()
_root: object = _UNSET


def data_root(path: object = _UNSET) -> Path | None:
    """Set where data are read from, and return it; without an argument, return it only.

    A folder makes every `Hub("org/name")` read `<folder>/org/name` and relative `Files` patterns start there;
    None is the Hugging Face Hub. Until it is set, the environment variable JIANTX_DATA decides.

    >>> import jiantx as jx
    >>> jx.data_root("my/mirror")  # doctest: +SKIP
    """
    global _root  # noqa: PLW0603
    if path is not _UNSET:
        if path is not None and not Path(str(path)).is_dir():
            raise DataError(
                f"The data root {str(path)!r} is not a folder. Give an existing one, or None for the Hub."
            )
        _root = None if path is None else Path(str(path)).resolve()
    if _root is _UNSET:
        given = os.environ.get("JIANTX_DATA")
        return data_root(given) if given else None
    assert _root is None or isinstance(_root, Path)
    return _root


class Source(ABC):
    """Rows by split and language."""

    @abstractmethod
    def rows(self, split: str, language: str) -> datasets.Dataset:
        """The rows as stored; DataError where there are none."""

    @abstractmethod
    def available(self, split: str) -> tuple[str, ...]:
        """The languages that have this split at the present data root."""


def _codes(languages: Languages) -> dict[str, str]:
    """Our language code -> the data set's own word for it."""
    return dict(languages) if isinstance(languages, Mapping) else {code: code for code in languages}


def _names(splits: Splits | None, split: str) -> tuple[str, ...]:
    """The data set's names of our split; none if it has no such split."""
    names = (split,) if splits is None else splits.get(split, ())
    return (names,) if isinstance(names, str) else tuple(names)


def _word(languages: Languages, language: str) -> str:
    codes = _codes(languages)
    if language not in codes:
        raise DataError(f"There is no language {language!r}. There are: {', '.join(codes)}.")
    return codes[language]


@dataclass(frozen=True)
class Hub(Source):
    """A data set of the Hugging Face Hub, or its copy under the data root.

    `path` and `config` may hold `{language}`; `languages` is a sequence of codes, or a mapping from our code to the
    data set's word for it; `splits` maps our split names to the data set's (one, or several that are joined);
    `where(row, language)` keeps a row; `revision` pins a commit.
    """

    path: str
    config: str | None = None
    _: KW_ONLY
    languages: Languages = ("en",)
    splits: Splits | None = None
    where: Callable[[Row, str], bool] | None = None
    revision: str | None = None

    def _place(self, language: str) -> tuple[str, str | None]:
        word = _word(self.languages, language)
        path = self.path.format(language=word)
        root = data_root()
        if root is not None:
            if not (root / path).is_dir():
                raise DataError(
                    f"The data root {root} has no data set {path!r} (looked for the folder {root / path}). "
                    "Put a copy of the repository there, or use data_root(None) to read from the Hugging Face Hub."
                )
            path = str(root / path)
        return path, None if self.config is None else self.config.format(language=word)

    def _splits_of(self, language: str) -> tuple[str, ...]:
        path, config = self._place(language)
        configs = _configs(path, self.revision)
        if config is None and len(configs) == 1:
            (config,) = configs
        return configs.get(config or "default", ())

    def rows(self, split: str, language: str) -> datasets.Dataset:
        path, config = self._place(language)
        names, present = _names(self.splits, split), self._splits_of(language)
        if not names or not set(names) <= set(present):
            wanted = "+".join(names) or split
            raise DataError(
                f"{self.path}{f' ({config})' if config else ''} has no split {wanted!r}. "
                f"It has: {', '.join(present) or 'nothing for this language'}."
            )
        rows = _loaded(path, config, "+".join(names), self.revision, _own_cache(path))
        return rows if self.where is None else rows.select(_kept(rows, self.where, language))

    def available(self, split: str) -> tuple[str, ...]:
        names = set(_names(self.splits, split))
        found = []
        for language in _codes(self.languages):
            try:
                here = bool(names) and names <= set(self._splits_of(language))
            except DataError:
                here = False
            if here and self.where is not None:
                here = len(self.rows(split, language)) > 0
            if here:
                found.append(language)
        return tuple(found)


@lru_cache(maxsize=512)
def _loaded(
    path: str, config: str | None, split: str, revision: str | None, cache: str | None
) -> datasets.Dataset:
    """Mapped rows; opening them again would cost a tenth of a second each time."""
    import datasets

    quiet = not datasets.are_progress_bars_disabled() and cache is not None
    if quiet:  # a mirror is read in an instant; a download keeps its bars
        datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(path, config, split=split, revision=revision, cache_dir=cache)
    except FileNotFoundError as error:  # a card that lists more files than the copy has
        raise DataError(f"The copy of {path} is not whole: {error}.") from None
    except Exception as error:  # of many types, by the format
        if cache is None:
            raise
        raise _not_read(path, error) from error
    finally:
        if quiet:
            datasets.enable_progress_bars()


def _not_read(path: str, error: Exception) -> DataError:
    """What is wrong with a local copy: the files that do not open, or else all of which one may be it."""
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    broken = [why for file in files if (why := _why_unopened(file))]
    said = (
        "; ".join(broken[:3])
        or f"{error.__cause__ or error}, in one of {', '.join(f.name for f in files[:5])}"
    )
    return DataError(f"The copy of {path} cannot be read: {said}. Fetch it again.")


def _why_unopened(file: Path) -> str:
    import pyarrow.parquet as pq

    try:
        if file.suffix == ".parquet":
            pq.ParquetFile(file).close()
        elif file.suffix == ".gz":
            with gzip.open(file) as text:
                while text.read(1 << 20):
                    pass
    except (OSError, EOFError, ValueError, zlib.error) as error:
        return f"{file.name}: {error}"
    return ""


class _RowView(Mapping[str, Any]):
    """A row of which only the columns that are asked for are read, each once for all rows."""

    def __init__(self, rows: datasets.Dataset) -> None:
        self.rows, self.number = rows, 0
        self.columns: dict[str, list[Any]] = {}

    def __getitem__(self, column: str) -> Any:
        if column not in self.columns:
            if column not in self.rows.column_names:
                raise KeyError(column)
            self.columns[column] = self.rows[column][:]
        return self.columns[column][self.number]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows.column_names)

    def __len__(self) -> int:
        return len(self.rows.column_names)


def _kept(rows: datasets.Dataset, where: Callable[[Any, str], bool], language: str) -> list[int]:
    """The numbers of the rows that `where` keeps."""
    view, found = _RowView(rows), []
    try:
        for view.number in range(len(rows)):
            if where(view, language):
                found.append(view.number)
    except KeyError as error:
        have = ", ".join(rows.column_names)
        raise DataError(
            f"The source's `where` asks for the column {error}. The rows have: {have}."
        ) from None
    return found


def _own_cache(path: str) -> str | None:
    """A cache for each state of a local copy: `datasets` looks at its card alone, and would take another's rows."""
    if not os.path.isdir(path):
        return None
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    return str(
        cache_dir()
        / "datasets"
        / hashlib.blake2b(repr(_state(files)).encode(), digest_size=8).hexdigest()
    )


def _state(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """What changes when a file does: its name, its size, when it was written."""
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _names_splits(files: Any) -> bool:
    """Whether a card's `data_files` says each file's split; otherwise `datasets` knows what is meant."""
    return isinstance(files, list) and all(
        isinstance(file, dict) and "split" in file for file in files
    )


@lru_cache(maxsize=512)
def _configs(path: str, revision: str | None) -> Mapping[str, tuple[str, ...]]:
    """Configuration -> split names of a repository or of its local copy: from its card where that lists them."""
    import datasets
    import yaml
    from huggingface_hub import hf_hub_download, metadata_load
    from huggingface_hub.errors import EntryNotFoundError

    if os.path.isdir(path):
        card: str | None = os.path.join(path, "README.md")
    else:
        try:
            card = hf_hub_download(path, "README.md", repo_type="dataset", revision=revision)
        except EntryNotFoundError:  # a parquet conversion has none
            card = None
    try:
        listed = (
            (metadata_load(card) or {}).get("configs", []) if card and os.path.isfile(card) else []
        )
        if listed and all(_names_splits(c.get("data_files")) for c in listed):
            return {c["config_name"]: tuple(f["split"] for f in c["data_files"]) for c in listed}
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        yaml.YAMLError,
    ) as error:
        raise DataError(
            f"{card}: expected a dataset card, with `configs` as the Hub has them ({error!r})."
        ) from None
    try:
        names = datasets.get_dataset_config_names(path, revision=revision)
        return {
            name: tuple(datasets.get_dataset_split_names(path, name, revision=revision))
            for name in names
        }
    except Exception as error:  # of many types, by the format
        if not os.path.isdir(path):
            raise
        raise _not_read(path, error) from error


@dataclass(frozen=True)
class Files(Source):
    """Files that a reader turns into rows.

    `pattern` may hold `{language}` (then give `languages` too), `{split}` and `*`; a relative one starts at the data
    root (without one, at the working directory). `read` is a plain function path -> rows; `where(row, language)` keeps
    a row, where a file holds several languages. `origin` says where the files can be had. Rows are read once and kept
    in the cache, until the text of a function or any file beside the read ones changes.
    """

    pattern: str
    read: Reader
    _: KW_ONLY
    languages: Languages = ("en",)
    splits: Splits | None = None
    where: Callable[[Row, str], bool] | None = None
    origin: str | None = None

    def _paths(self, split: str, language: str) -> list[Path]:
        word = _word(self.languages, language)
        start = data_root() or Path.cwd()
        found: list[Path] = []
        for name in _names(self.splits, split):
            pattern = self.pattern.format(language=word, split=name)
            found += (start / path for path in sorted(glob.glob(pattern, root_dir=start)))
        return found

    def rows(self, split: str, language: str) -> datasets.Dataset:
        paths = self._paths(split, language)
        if not paths:
            theirs = next(iter(_names(self.splits, split)), split)
            place = (data_root() or Path.cwd()) / self.pattern.format(
                language=_word(self.languages, language), split=theirs
            )
            origin = f" They can be had from {self.origin}." if self.origin else ""
            raise DataError(
                f"No file matches {place} (split {split!r}, language {language!r}).{origin} Put it there."
            )
        beside = sorted(
            {file for path in paths for file in path.parent.iterdir() if file.is_file()}
        )
        made_by = (
            self.read,
            self.where,
            language if self.where else None,
            list(map(str, paths)),
            _state(beside),
        )
        key = hashlib.blake2b(fingerprint_text(made_by).encode(), digest_size=16).hexdigest()
        return load_or_write(
            cache_dir() / "files" / f"{key}.arrow", lambda: [self._read(paths, language)]
        )

    def _read(self, paths: Sequence[Path], language: str) -> pa.Table:
        import pyarrow as pa

        rows = (
            row
            for path in paths
            for row in self.read(path)
            if self.where is None or self.where(row, language)
        )
        with _storing(f"The rows of {paths[0]}"):
            parts = [
                pa.table(_columns(part))
                for part in iter(lambda: list(itertools.islice(rows, 10_000)), [])
            ]
            return pa.concat_tables(parts or [pa.table({})], promote_options="permissive")

    def available(self, split: str) -> tuple[str, ...]:
        paths = {code: self._paths(split, code) for code in _codes(self.languages)}
        if self.where is None:
            return tuple(code for code, found in paths.items() if found)
        return tuple(
            c
            for c, found in paths.items()
            if any(self.where(row, c) for path in found for row in self.read(path))
        )


@dataclass(frozen=True, repr=False)
class Rows(Source):
    """Rows in memory: split -> lists of dictionaries, a `datasets.Dataset`, or language -> one of these."""

    splits: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.splits, Mapping):
            raise TypeError(
                f'Rows takes splits, such as {{"train": rows}}; found {type(self.splits).__name__}.'
            )

    def __repr__(self) -> str:
        sizes = {
            split: {code: len(rows) for code, rows in self._by_language(split).items()}
            for split in self.splits
        }
        return f"Rows({sizes})"

    def _by_language(self, split: str) -> dict[str, Any]:
        rows = self.splits.get(split, {})
        return dict(rows) if isinstance(rows, Mapping) else {"en": rows}

    def rows(self, split: str, language: str) -> datasets.Dataset:
        import datasets

        if split not in self.splits:
            raise DataError(
                f"The rows have no split {split!r}. They have: {', '.join(self.splits)}."
            )
        rows = self._by_language(split)
        if language not in rows:
            raise DataError(f"There is no language {language!r}. There are: {', '.join(rows)}.")
        found = rows[language]
        if isinstance(found, datasets.Dataset):
            return found
        with _storing("The rows"):
            return datasets.Dataset.from_dict(_columns(list(found)))

    def available(self, split: str) -> tuple[str, ...]:
        return tuple(self._by_language(split))


@dataclass(frozen=True, init=False)
class Concat(Source):
    """Several sources read as one: the columns that all of them have, class numbers replaced by names."""

    sources: tuple[Source, ...]

    def __init__(self, *sources: Source) -> None:
        object.__setattr__(self, "sources", sources)

    def rows(self, split: str, language: str) -> datasets.Dataset:
        import datasets

        having = [
            s
            for s in self.sources
            if _declares(s, split, language) or language in s.available(split)
        ]
        parts = [decode_class_labels(source.rows(split, language)) for source in having]
        if not parts:  # the error of the source that should have them says what is missing, and where it belongs
            for source in (s for s in self.sources if language in getattr(s, "languages", ("en",))):
                if _names(getattr(source, "splits", None), split):
                    source.rows(split, language)
            have = ", ".join(self.languages)
            raise DataError(
                f"None of the joined sources has the split {split!r} in {language!r}. Languages: {have}."
            )
        shared = [c for c in parts[0].column_names if all(c in part.column_names for part in parts)]
        return datasets.concatenate_datasets([part.select_columns(shared) for part in parts])

    def available(self, split: str) -> tuple[str, ...]:
        have = [(source, source.available(split)) for source in self.sources]
        found = dict.fromkeys(language for _, languages in have for language in languages)
        lacking = {
            l
            for l in found
            for source, there in have
            if _declares(source, split, l) and l not in there
        }
        return tuple(language for language in found if language not in lacking)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that any of the sources declares."""
        return tuple(
            dict.fromkeys(code for s in self.sources for code in getattr(s, "languages", ("en",)))
        )


def _declares(source: Source, split: str, language: str) -> bool:
    """Whether a source names this language and split: without its rows there would be fewer than are meant."""
    return language in getattr(source, "languages", ()) and bool(
        _names(getattr(source, "splits", None) or {}, split)
    )


@contextmanager
def _storing(what: str) -> Iterator[None]:
    """DataError where Arrow cannot: several types in a column, numbers over 64 bits, half a surrogate pair."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OverflowError, UnicodeError, RecursionError) as error:
        raise DataError(
            f"{what} have a column of several types, or of what no column can hold: {error}."
        ) from None


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Rows as columns, None where a row lacks one: Arrow's own way takes the first row's columns for all."""
    return {
        name: [row.get(name) for row in rows]
        for name in dict.fromkeys(itertools.chain.from_iterable(rows))
    }


def in_memory(table: pa.Table) -> datasets.Dataset:
    """A table as a `datasets.Dataset`; with a fingerprint given, or `datasets` would pickle and hash all of it."""
    import datasets

    return datasets.Dataset(datasets.table.InMemoryTable(table), fingerprint=secrets.token_hex(8))


def iter_rows(rows: datasets.Dataset) -> Iterator[Row]:
    """The rows, read a thousand at a time."""
    for columns in rows.iter(1000):
        yield from (dict(zip(columns, values)) for values in zip(*columns.values()))


def class_names(rows: datasets.Dataset, column: str) -> list[str] | None:
    """The names of a column's classes (also of a list of classes), or None if it holds something else."""
    import datasets

    feature = rows.features.get(column)
    inner = getattr(feature, "feature", feature)
    return list(inner.names) if isinstance(inner, datasets.ClassLabel) else None


def decode_class_labels(rows: datasets.Dataset) -> datasets.Dataset:
    """Replace class numbers by their names, so that their order never matters; -1 (no label) becomes None."""

    coded = {
        column: names
        for column in rows.column_names
        if (names := class_names(rows, column)) is not None
    }
    if not coded:
        return rows
    table = rows.with_format("arrow")[:] if rows._indices is not None else rows.data.table
    for column, names in coded.items():
        table = table.set_column(
            table.column_names.index(column), column, _decoded(table[column], names)
        )
    return in_memory(table.replace_schema_metadata(None))


def _decoded(column: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    """Class numbers -> names, inside lists too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def decode(array: pa.Array) -> pa.Array:
        if pa.types.is_list(array.type):
            flat = decode(array.flatten())
            lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
            offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
            return pa.ListArray.from_arrays(
                offsets, flat, mask=array.is_null() if array.null_count else None
            )
        return pa.array(names).take(pc.if_else(pc.less(array, 0), None, array))

    return pa.chunked_array(
        [decode(chunk) for chunk in column.chunks], type=None if column.num_chunks else pa.string()
    )


# --- readers of file formats: path -> rows ---------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, without their ends and without a byte order mark."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, line {number}: not UTF-8 text ({error.reason}). Convert the file."
                ) from None


def _json(path: Path, text: str, line: int | None = None) -> Any:
    """What JSON says; DataError where it is none, or holds what is no text."""
    try:
        value = json.loads(text)
        if (
            "\\u" in text
        ):  # only an escape can write half of a surrogate pair, which no UTF-8 can hold
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        where = f"{path}, line {line}" if line else str(path)
        raise DataError(f"{where}: not JSON ({error}).") from None
    return value


def read_text(path: Path) -> str:
    """A whole UTF-8 file."""
    return "\n".join(_lines(path))


def read_json(path: Path) -> Any:
    """A whole file of JSON."""
    return _json(path, read_text(path))


def read_lines(path: Path) -> Iterator[Row]:
    """A text file: one row `{"text": line}` for each line that is not blank."""
    return ({"text": line} for line in _lines(path) if line.strip())


def read_jsonl(path: Path) -> Iterator[Row]:
    """One JSON object a line."""
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            row = _json(path, line, number)
            if not isinstance(row, dict):
                raise DataError(
                    f"{path}, line {number}: expected a JSON object, found {type(row).__name__}."
                )
            yield row


def read_csv(path: Path) -> Iterator[Row]:
    """Comma-separated values with a header; fields in quotes may hold commas, line ends and doubled quotes."""
    return _table(path, ",")


def read_tsv(path: Path) -> Iterator[Row]:
    """Tab-separated values with a header, in which a quotation mark is a letter like others (GLUE, PAWS-X, XNLI).

    What is missing at the end of a line is None.
    """
    return _table(path, "\t", quoting=csv.QUOTE_NONE)


def read_xtreme_tsv(path: Path) -> Iterator[Row]:
    """XTREME's pairs, rows `{"sentence1", "sentence2", "label"}`: no header, quoted as a CSV writer does."""
    return _table(path, "\t", ("sentence1", "sentence2", "label"))


def _table(
    path: Path, delimiter: str, columns: Sequence[str] = (), **dialect: Any
) -> Iterator[Row]:
    lines = csv.reader(
        (f"{line}\n" for line in _lines(path)), delimiter=delimiter, strict=True, **dialect
    )
    try:
        columns = columns or next(lines, [])
        if not columns or len(set(columns)) < len(columns):
            raise DataError(
                f"{path}, line 1: expected a header of different names, found {list(columns)}."
            )
        for fields in filter(None, lines):
            if len(fields) > len(columns):
                raise DataError(
                    f"{path}, line {lines.line_num}: found {len(fields)} fields, expected {len(columns)}: "
                    f"{', '.join(columns)}."
                )
            yield dict(itertools.zip_longest(columns, fields))
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.line_num}: {error}.") from None


def read_conll(
    path: Path, *, token: int = 0, tag: int = -1, prefixed: bool = False
) -> Iterator[Row]:
    """Columns, a line a word and a blank one after each sentence: rows `{"tokens", "tags"}`.

    `token` and `tag` number the columns; lines that begin with `#` and a space are comments. prefixed: words carry
    their language, `en:Paris`, as in WikiANN's own files.
    """
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in enumerate(itertools.chain(_lines(path), [""]), 1):
        if line.strip():
            # by spaces alone: other scripts' blanks belong to words
            fields = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
            if line.startswith("# ") and not fields[0].isdecimal():
                continue
            if len(fields) < max(token + 1, tag + 1, 2):
                raise DataError(
                    f"{path}, line {number}: expected a word and its tag, found {line!r}."
                )
            tokens.append(fields[token].partition(":")[2] if prefixed else fields[token])
            tags.append(fields[tag])
        elif tokens:
            yield {"tokens": tokens, "tags": tags}
            tokens, tags = [], []


def read_supertags(path: Path) -> Iterator[Row]:
    """A sentence a line, `words<TAB>supertags`, both separated by spaces: rows `{"tokens", "tags"}`."""
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            tokens, tags = (side.split() for side in line.partition("\t")[::2])
            if len(tokens) != len(tags):
                found = f"{len(tokens)} words and {len(tags)} tags"
                raise DataError(
                    f"{path}, line {number}: expected words, a tab, and a tag for each; found {found}."
                )
            yield {"tokens": tokens, "tags": tags}


def read_ccgbank(path: Path) -> Iterator[Row]:
    """CCGbank's .auto files, a derivation a line: rows `{"tokens", "tags"}` of its words and their categories."""
    for number, line in enumerate(_lines(path), 1):
        leaves = re.findall(r"\(<L (\S+) \S+ \S+ (\S+) \S+>\)", line)
        if len(leaves) != line.count("(<L "):
            raise DataError(
                f"{path}, line {number}: expected leaves (<L category tag tag word category>)."
            )
        if leaves:
            yield {
                "tokens": [word for _, word in leaves],
                "tags": [category for category, _ in leaves],
            }


def read_bucc(path: Path) -> Iterator[Row]:
    """One side of a BUCC corpus, `id<TAB>sentence` a line: rows `{"id", "text", "relevant"}` of distinct sentences.

    `relevant`: the ids of its translations, from the `.gold` file beside, if any. As in XTREME's code, a sentence that
    occurs twice has no id (""), and so can neither be found nor be paired.
    """
    ids: dict[str, list[str]] = {}
    for number, line in enumerate(_lines(path), 1):
        id, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise DataError(
                f"{path}, line {number}: expected an id, a tab and a sentence, found {line!r}."
            )
        ids.setdefault(text.strip(), []).append(id)
    partners: dict[str, list[str]] = {}
    gold = path.with_suffix(".gold")
    for number, line in enumerate(_lines(gold) if gold.exists() else (), 1):
        pair = line.split()
        if len(pair) != 2:
            raise DataError(f"{gold}, line {number}: expected two ids, found {line!r}.")
        for one, other in (pair, pair[::-1]):
            partners.setdefault(one, []).append(other)
    for text, own in ids.items():
        relevant = [other for id in own for other in partners.get(id, ())]
        yield {"id": own[0] if len(own) == 1 else "", "text": text, "relevant": relevant}


def read_laser(path: Path) -> Iterator[Row]:
    """Parallel lines, the English ones in the file beside: rows `{"source_sentence", "target_sentence"}`."""
    english = path.with_suffix(".eng")
    if not english.is_file():
        raise DataError(f"{english} is missing: the English lines of {path}.")
    sides = [list(_lines(path)), list(_lines(english))]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{path} has {len(sides[0])} lines, {english} has {len(sides[1])}; expected as many."
        )
    return (
        {"source_sentence": one, "target_sentence": other}
        for one, other in zip(*sides, strict=True)
    )


def read_squad(path: Path) -> Iterator[Row]:
    """SQuAD's JSON (v1.1 and v2): one row a question, in the Hub's columns id, title, context, question, answers."""
    whole = read_json(path)
    try:
        for article in whole["data"]:
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    answers = qa.get("answers") or []
                    row = {
                        "id": qa["id"],
                        "title": article.get("title", ""),
                        "context": paragraph["context"],
                        "question": qa["question"],
                        "answers": {k: [a[k] for a in answers] for k in ("text", "answer_start")},
                    }
                    if other := [
                        name
                        for name in ("id", "title", "context", "question")
                        if type(row[name]) is not str
                    ]:
                        raise TypeError(f"{other[0]} is {row[other[0]]!r}")
                    yield row
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: expected SQuAD's JSON: data, paragraphs, qas, answers ({error!r})."
        ) from None


def read_xquad_r(path: Path) -> Iterator[Row]:
    """The questions of LAReQA's XQuAD-R: SQuAD's columns and `relevant`, the ids of their answers' sentences.

    An answer's sentence is relevant in every language whose file stands beside.
    """
    answers = [_answer_sentences(*state)[1] for state in _state(sorted(path.parent.glob("*.json")))]
    for row in read_squad(path):
        yield {**row, "relevant": [found[row["id"]] for found in answers if row["id"] in found]}


def read_xquad_r_sentences(path: Path) -> Iterator[Row]:
    """The candidates of LAReQA's XQuAD-R: rows `{"id", "candidate"}`, a sentence followed by its paragraph."""
    (state,) = _state([path])
    yield from _answer_sentences(*state)[0]


@lru_cache(maxsize=32)
def _answer_sentences(name: str, size: int, written: int) -> tuple[list[Row], dict[str, str]]:
    """The sentences of an XQuAD-R file in this state, and each question's."""
    path, sentences, found = Path(name), [], {}
    whole = read_json(path)
    try:
        for number, paragraph in enumerate(
            p for article in whole["data"] for p in article["paragraphs"]
        ):
            context, breaks = paragraph["context"], paragraph["sentence_breaks"]
            for place, (start, end) in enumerate(breaks):
                id = f"{path.stem}_{number}_{place}"
                sentences.append(
                    {"id": id, "candidate": (context[start:end] + context).replace("\n", "")}
                )
                own = [
                    qa["id"]
                    for qa in paragraph["qas"]
                    if start <= qa["answers"][0]["answer_start"] < end
                ]
                found.update(dict.fromkeys(own, id))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path}: expected XQuAD-R's JSON: SQuAD's with sentence_breaks ({error!r})."
        ) from None
    return sentences, found


def read_mewslix(path: Path) -> Iterator[Row]:
    """Mewsli-X's files: rows `{"id", "language"}` with `query` (mentions), `relevant`, `candidate` (entities).

    A mention is written `Paris: He lives in { Paris } .` with the one sentence around it, an entity as the sentences of
    its description (XTREME, `utils_mewslix.py`).
    """
    for number, line in enumerate(read_jsonl(path), 1):
        try:
            if "contextual_mention" in line:  # Wikipedia's, to train on
                (query,) = _mentions(line["contextual_mention"])
                yield {**query, "candidate": _entity(line["entity"])["candidate"]}
            elif "context" in line:
                yield from _mentions(line)
            else:
                yield _entity(line)
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
            raise DataError(
                f"{path}, line {number}: expected Mewsli-X's mention or entity ({error!r})."
            ) from None


def _mentions(line: Mapping[str, Any]) -> list[Row]:
    context, found = line["context"], []
    text = context["text"]
    for mention in line["mentions"] if "mentions" in line else [line["mention"]]:
        start, end = mention["mention_span"]["start"], mention["mention_span"]["end"]
        around = next(
            s for s in context["sentence_spans"] if s["start"] <= start and end <= s["end"]
        )
        left, right = (
            re.sub(r"\{(.*?)\}", r"(\1)", part)
            for part in (text[around["start"] : start], text[end : around["end"]])
        )
        query = _one_line(f"{text[start:end]}: {left} {{ {text[start:end]} }} {right}")
        row = {"id": mention["example_id"], "language": context["language"], "query": query}
        found.append({**row, "relevant": [mention["entity_id"]]})
    return found


def _entity(line: Mapping[str, Any]) -> Row:
    spans = [line["description"][span["start"] : span["end"]] for span in line["sentence_spans"]]
    return {
        "id": line["entity_id"],
        "language": line["description_language"],
        "candidate": _one_line(" ".join(spans)),
    }


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()


# Which word of a multiword token lends it its tag, among those at the same height of the tree (facts: UD conversion).
_PRECEDENCE = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT".split()
_PRECEDENCE_BY_LANGUAGE = {
    "es": "VERB AUX PRON ADP DET".split(),
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ".split(),
    "it": "VERB AUX ADV PRON ADP DET INTJ".split(),
}


def read_conllu(path: Path) -> Iterator[Row]:
    """CoNLL-U as XTREME reads it: rows `{"tokens", "tags"}` of surface words and universal tags.

    A multiword token is one word with the tag of its highest word in the tree, ties by a list of tags; empty nodes are
    left out, U+200C and inner spaces dropped, and so are sentences whose words are masked (`_`), all or all but one.
    """
    precedence = _PRECEDENCE_BY_LANGUAGE.get(path.name.split("_")[0], _PRECEDENCE)
    lines: list[tuple[int, list[str]]] = []

    def sentence() -> Iterator[Row]:
        tokens, tags = _surface(path, lines, precedence)
        masked = tokens.count("_")
        if tokens and (not masked or masked < len(tokens) - 1):
            yield {"tokens": tokens, "tags": tags}
        lines.clear()

    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            yield from sentence()
        elif not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) != 10:
                raise DataError(
                    f"{path}, line {number}: expected 10 columns separated by tabs, found {len(fields)}."
                )
            lines.append((number, fields))
    yield from sentence()


def _surface(
    path: Path, lines: Sequence[tuple[int, list[str]]], precedence: Sequence[str]
) -> tuple[list[str], list[str]]:
    heads: dict[int, int] = {}
    tags: dict[int, str] = {}
    fused: dict[int, tuple[int, str]] = {}
    order: list[tuple[int, str]] = []
    covered = 0  # up to this word, by a multiword token
    for number, fields in lines:
        id, form, tag, head = (
            fields[0],
            fields[1].replace("\u200c", "").replace(" ", ""),
            fields[3],
            fields[6],
        )
        if "." in id:
            continue
        word = len(order) + 1
        try:
            first, last = map(int, id.split("-")) if "-" in id else (int(id), word)
            above = int(head) if "-" not in id and head != "_" else 0
        except ValueError:
            raise DataError(
                f"{path}, line {number}: {id!r} and {head!r} are no word number and head."
            ) from None
        # a number that comes twice would lend one tag to two words: the blank line between two sentences is missing
        if first != word or last < word or ("-" in id and covered >= word):
            raise DataError(
                f"{path}, line {number}: found the word number {id!r}, expected {word}."
            )
        if "-" in id:
            fused[word], covered = (last, form), last
        else:
            heads[word], tags[word] = above, tag
            order.append((word, form))
    if covered > len(order):
        raise DataError(
            f"{path}, line {number}: a multiword token ends at word {covered}, the sentence at {len(order)}."
        )

    def height(word: int) -> int:
        steps = 0
        while word and steps <= len(heads):  # a cycle in a broken tree ends too
            word, steps = heads.get(word, 0), steps + 1
        return steps

    def rank(word: int) -> tuple[int, int]:
        tag = tags[word]
        return height(word), precedence.index(tag) if tag in precedence else len(precedence)

    out_tokens, out_tags, until = [], [], 0
    for word, form in order:
        if word in fused:
            until, form = fused[word]
            out_tokens.append(form)
            out_tags.append(tags[min(range(word, until + 1), key=rank)])
        elif word > until:
            out_tokens.append(form)
            out_tags.append(tags[word])
    return out_tokens, out_tags
