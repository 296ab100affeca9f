"""Datasets of the Hugging Face Hub, or their copies under the data root."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jiantx.cache import cache_dir
from jiantx.sources.base import (
    ARTIFICIAL_WORLD,
    DataError,
    Languages,
    Source,
    Splits,
    Where,
    check_patterns,
    data_root,
    dataset_language,
    dataset_splits,
    file_stats,
    language_mapping,
)
from jiantx.sources.class_labels import iter_rows
from jiantx.sources.function_rows import MissingColumn, Undecoded, function_value, keeps
from jiantx.sources.parquet_conversion import (
    Conversion,
    conversion_of_script,
    folder_conversion,
    hub_conversion,
    is_script_error,
    known_config,
)

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Hub(Source):
    """A dataset of the Hugging Face Hub, or its copy under the data root.

    Args:
        path: The repository; may hold `{language}`.
        config: The configuration; may hold `{language}`. None is the only or the default one. If
            the repository has one only, `default` and `plain_text` stand for it.
        languages: Language codes, or a mapping from jiantx's code to the dataset's word for it.
        splits: jiantx's split names -> the dataset's, one or several that are joined; None if they
            are the same.
        where: A function (row, language) that keeps a row. It sees the names of classes, as column
            functions do, and None where there is no label.
        revision: A commit. If the repository is a script, its parquet copy on the branch
            `refs/convert/parquet` is read, whose commits may be declared too.

    >>> Hub("facebook/xnli", "{language}", languages=("en", "de")).languages
    ('en', 'de')
    """

    path: str
    config: str | None = None
    _: KW_ONLY
    languages: Languages = ("en",)
    splits: Splits | None = None
    where: Where | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        patterns = [self.path, self.config or ""]
        noun = f"Hub({', '.join(map(repr, filter(None, patterns)))})"
        check_patterns(noun, patterns, self.languages, ("language",), self.where)

    def _resolve(self, language: str) -> tuple[str, str | None]:
        """The repository (on the Hub, or a folder) and the configuration of a language."""
        word = dataset_language(self.languages, language)
        path = self.path.format(language=word)
        root = data_root()
        if root is not None:
            if not (root / path).is_dir():
                raise DataError(
                    f"The data root {root} has no data set {path!r} (looked for the folder "
                    f"{root / path}). Put a copy of the repository there, or use data_root(None) "
                    "to read from the Hugging Face Hub."
                )
            path = str(root / path)
        return path, None if self.config is None else self.config.format(language=word)

    def _splits_of(self, language: str) -> tuple[str, ...]:
        """The dataset's own names of the splits that a language has."""
        path, config = self._resolve(language)
        splits = _repository(path, self.revision).splits
        return splits.get(known_config(path, config, tuple(splits)) or "default", ())

    def rows(self, split: str, language: str) -> datasets.Dataset:
        path, config = self._resolve(language)
        names = dataset_splits(self.splits, split)
        present = self._splits_of(language)
        if not names or not set(names) <= set(present):
            expected = "+".join(names) or split
            config_text = f" ({config})" if config else ""
            message = f"{self.path}{config_text} has no split {expected!r}. It has: "
            if present:
                raise DataError(f"{message}{', '.join(present)}.")
            configs = list(_repository(path, self.revision).splits)
            listed = ", ".join(configs[:20]) + (", …" if len(configs) > 20 else "")
            raise DataError(
                f"{message}nothing for this language. Its configurations: {listed or 'none'}."
            )
        rows = _load_split(path, config, "+".join(names), self.revision, _datasets_cache_dir(path))
        if self.where is None:
            return rows
        return rows.select(_matching_rows(rows, self.where, language))

    def hub_ids(self, language: str) -> tuple[str, ...]:
        word = language_mapping(self.languages).get(language)
        root = data_root()
        is_artificial = root is not None and (root / ARTIFICIAL_WORLD).exists()
        if word is None or is_artificial or (root is None and Path(self.path).exists()):
            return ()
        return (self.path.format(language=word),)

    def available(self, split: str) -> tuple[str, ...]:
        names = set(dataset_splits(self.splits, split))
        if not names:
            return ()
        return tuple(
            language
            for language in language_mapping(self.languages)
            if self._has(names, split, language)
        )

    def _has(self, names: set[str], split: str, language: str) -> bool:
        """Whether a language has the splits of these names, and rows in them that `where` keeps."""
        try:
            has_split = names <= set(self._splits_of(language))
        except DataError:
            return False
        if has_split and self.where is not None:
            return len(self.rows(split, language)) > 0
        return has_split


@lru_cache(maxsize=512)
def _load_split(
    path: str, config: str | None, split: str, revision: str | None, cache: str | None
) -> datasets.Dataset:
    """Load memory-mapped rows, once: opening them again costs a tenth of a second each time.

    `cache` is a folder for a local copy, None for the Hub.
    """
    import datasets

    repository = _repository(path, revision)
    config = known_config(path, config, tuple(repository.splits)) if config else None
    # a local copy is read in an instant; a download keeps its progress bars
    hide_bars = not datasets.are_progress_bars_disabled() and cache is not None
    if hide_bars:
        datasets.disable_progress_bars()
    try:
        if repository.conversion is not None:
            return repository.conversion.load(config, split, cache)
        return datasets.load_dataset(path, config, split=split, revision=revision, cache_dir=cache)
    except FileNotFoundError as error:  # a card that lists more files than the copy has
        raise DataError(f"The copy of {path} is not whole: {error}.") from None
    except Exception as error:  # of many types, by the format
        if cache is not None:
            raise _read_error(path, error) from error
        if is_script_error(error):  # beside a card that lists files
            return conversion_of_script(path, revision).load(config, split, cache)
        raise
    finally:
        if hide_bars:
            datasets.enable_progress_bars()


def _read_error(path: str, error: Exception) -> DataError:
    """What is wrong with a local copy: the files that do not open or, if all do, any of them."""
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    problems = [problem for problem in map(_open_problem, files) if problem]
    if problems:
        reason = "; ".join(problems[:3])
    else:
        names = ", ".join(file.name for file in files[:5])
        reason = f"{error.__cause__ or error}, in one of {names}"
    return DataError(f"The copy of {path} cannot be read: {reason}. Fetch it again.")


def _open_problem(file: Path) -> str:
    """Why a file does not open; empty if it does."""
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
    """One row of a dataset; columns are read when they are used, each once for all rows."""

    def __init__(self, rows: datasets.Dataset) -> None:
        self.rows = rows
        self.index = 0
        self.columns: dict[str, list[Any]] = {}

    def __getitem__(self, column: str) -> Any:
        if column not in self.columns:
            if column not in self.rows.column_names:
                raise MissingColumn(column, self.rows.column_names)
            rows = iter_rows(self.rows.select_columns([column]))
            self.columns[column] = [function_value(row[column]) for row in rows]
        value = self.columns[column][self.index]
        return value.decode() if isinstance(value, Undecoded) else value

    @property
    def columns_read(self) -> dict[str, Any]:
        """What the row holds in the columns that were read."""
        return {column: values[self.index] for column, values in self.columns.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows.column_names)

    def __len__(self) -> int:
        return len(self.rows.column_names)


def _matching_rows(rows: datasets.Dataset, where: Where, language: str) -> list[int]:
    """The indices of the rows that `where` keeps."""
    view = _RowView(rows)
    indices = []
    for view.index in range(len(rows)):
        try:
            if keeps(where, view, language):
                indices.append(view.index)
        except DataError as error:
            raise DataError(f"Row {view.index}: {error}") from error.__cause__
    return indices


def _datasets_cache_dir(path: str) -> str | None:
    """The cache of `datasets` for a local copy in its present state; None for the Hub.

    `datasets` looks at the copy's card alone, and would take another state's rows.
    """
    if not os.path.isdir(path):
        return None
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    key = hashlib.blake2b(repr(file_stats(files)).encode(), digest_size=8).hexdigest()
    return str(cache_dir() / "datasets" / key)


class _Repository(NamedTuple):
    """What a repository holds.

    Args:
        splits: Configuration -> split names.
        conversion: Where its rows are, if it holds a parquet conversion, or is a script.
    """

    splits: Mapping[str, tuple[str, ...]]
    conversion: Conversion | None = None


@lru_cache(maxsize=512)
def _repository(path: str, revision: str | None) -> _Repository:
    """Read what a repository holds, from the dataset card if that lists it."""
    card = _card_path(path, revision)
    if card is None or not os.path.isfile(card):
        conversion = _conversion(path, revision)
        if conversion is not None:
            return _Repository(conversion.splits, conversion)
    else:
        listed = _splits_in_card(card)
        if listed:
            return _Repository(listed)
    try:
        return _Repository(_splits_by_datasets(path, revision))
    except Exception as error:  # of many types, by the format
        if os.path.isdir(path):
            raise _read_error(path, error) from error
        if not is_script_error(error):
            raise
    conversion = conversion_of_script(path, revision)
    return _Repository(conversion.splits, conversion)


def _conversion(path: str, revision: str | None) -> Conversion | None:
    """The conversion in a repository without a card, as conversions are; None if it has none."""
    from huggingface_hub.errors import HfHubHTTPError

    if os.path.isdir(path):
        return folder_conversion(path)
    if revision is None:
        return None
    try:
        return hub_conversion(path, revision)
    except HfHubHTTPError:
        raise
    except Exception:  # of many types: the Hub was not reached, and `datasets` may have a copy
        return None


def _splits_by_datasets(path: str, revision: str | None) -> dict[str, tuple[str, ...]]:
    """Configuration -> split names, as `datasets` finds them."""
    import datasets

    configs = datasets.get_dataset_config_names(path, revision=revision)
    return {
        config: tuple(datasets.get_dataset_split_names(path, config, revision=revision))
        for config in configs
    }


def _card_path(path: str, revision: str | None) -> str | None:
    """The file of a dataset card; None if the repository has none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    if os.path.isdir(path):
        return os.path.join(path, "README.md")
    try:
        return hf_hub_download(path, "README.md", repo_type="dataset", revision=revision)
    except EntryNotFoundError:  # a parquet conversion has none
        return None


def _splits_in_card(card: str) -> dict[str, tuple[str, ...]]:
    """Configuration -> split names; empty unless the card lists the split of each file."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        configs = (metadata_load(card) or {}).get("configs") or []
        if not all(_lists_splits(config.get("data_files")) for config in configs):
            return {}
        return {
            config["config_name"]: tuple(file["split"] for file in config["data_files"])
            for config in configs
        }
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


def _lists_splits(data_files: Any) -> bool:
    """Whether a card's `data_files` says each file's split; if not, `datasets` infers it."""
    return isinstance(data_files, list) and all(
        isinstance(file, dict) and "split" in file for file in data_files
    )
