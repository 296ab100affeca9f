"""Where a user's own files are: paths by split, names with {split} and {language}."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from jiantx.registry import near_names
from jiantx.sources.base import DataError

PathLike = str | os.PathLike[str]
Paths = PathLike | Mapping[str, Any]
# How people call the splits in the names of files.
SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development", "eval"),
    "test": ("test", "testing"),
}
_LANGUAGE = r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*"
_WILDCARDS = {"{language}": f"(?P<language>{_LANGUAGE})", "*": "[^/]*", "?": "[^/]"}


def patterns_of(paths: Paths, split: str) -> tuple[str, ...]:
    """The patterns of a split's files, with `{split}` replaced; empty if no file is of the split.

    Args:
        paths: What the user gave: one path or split -> path.
        split: "train", "validation", "test", or another key.

    Raises:
        DataError: Files of two names may be the split.
    """
    if isinstance(paths, Mapping):
        of_split = paths.get(split, ())
        several = of_split if isinstance(of_split, list | tuple) else [of_split]
        return tuple(os.path.expanduser(os.fspath(path)) for path in several)
    pattern = os.path.expanduser(os.fspath(paths))
    if "split" not in placeholders(pattern):
        return (pattern,) if split == "train" else ()
    candidates = [pattern.replace("{split}", word) for word in SPLIT_WORDS.get(split, (split,))]
    existing = [candidate for candidate in candidates if matching_files(candidate)]
    if len(existing) > 1:
        raise DataError(
            f"Both {existing[0]} and {existing[1]} may be the split {split!r}. Say which: "
            f'{{"{split}": {existing[0]!r}, …}} in the place of the path.'
        )
    return tuple(existing)


def placeholders(pattern: str) -> set[str]:
    """The names in braces.

    Raises:
        ValueError: There is another one than {split} and {language}.
    """
    names = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
    for name in sorted(names - {"split", "language"}):
        raise ValueError(
            f"{pattern!r} has the placeholder {{{name}}}. There are: {{split}}, {{language}}."
            f"{near_names(name, ('split', 'language'))}"
        )
    return names


def matching_files(
    pattern: str, word: str | None = None, all_words: Collection[str] = ()
) -> list[str]:
    """The files that match a pattern; a path that exists is no pattern.

    Args:
        pattern: May hold `*`, `?` and `{language}`.
        word: What stands for `{language}` (default: anything).
        all_words: The words of all languages. Beside a wildcard, a file is of the longest one that
            fits: of "de-CH", and not of "de".
    """
    path = pattern.replace("{language}", "*" if word is None else word)
    if os.path.isfile(path):
        return [path]
    brackets = path.replace("[", "[[]")  # letters of a name
    files = {name for name in glob.glob(brackets) if os.path.isfile(name)}
    if word is not None and "{language}" in pattern:
        for longer in all_words:
            if longer != word and longer.startswith(word):
                files -= set(matching_files(pattern, longer))
    return sorted(files)


def languages_in_names(pattern: str) -> dict[str, None]:
    """The languages whose files exist, by what stands where the pattern has `{language}`.

    Words for a split, such as "dev", are no languages.
    """
    split_words = set(itertools.chain(*SPLIT_WORDS.values()))
    languages = {_language_of(path, pattern): None for path in matching_files(pattern)}
    return {code: None for code in languages if code is not None and code not in split_words}


def _language_of(path: str, pattern: str) -> str | None:
    """What stands in a path where its pattern has `{language}`; None if it is no code."""
    expression = ""
    for item in re.split(r"(\{language\}|\*|\?)", pattern):
        is_again = item == "{language}" and "(?P<" in expression
        expression += "(?P=language)" if is_again else _WILDCARDS.get(item, re.escape(item))
    match = re.fullmatch(expression, path)
    return match["language"] if match else None


def missing_file(pattern: str, word: str, split: str) -> DataError:
    """The error of a file that is not there, with files of similar names.

    Args:
        pattern: The pattern.
        word: What stands for `{language}`.
        split: The split that was asked for.
    """
    path = Path(pattern.replace("{language}", word))
    folder = path.parent
    if path.is_dir():
        example = str(path / "*.csv")
        return DataError(
            f"{path.absolute()} is a folder. Give a file, or a pattern such as {example!r}."
        )
    if not folder.is_dir():
        return DataError(f"There is no folder {folder.absolute()}, where {path.name} should be.")
    names = sorted(os.listdir(folder))
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return DataError(
        f"There is no file {path.absolute()} (split {split!r})."
        f"{near_names(path.name, names)} The folder holds: {shown or 'nothing'}."
    )


def missing_split(noun: str, paths: Paths, split: str) -> DataError:
    """The error of a split that no path is for.

    Args:
        noun: The source, as errors name it.
        paths: What the user gave.
        split: The split that was asked for.
    """
    if isinstance(paths, Mapping) and not set(paths) & set(SPLIT_WORDS):
        return DataError(
            f"{noun} has no split {split!r}: its keys are {', '.join(map(repr, paths))}. Expected "
            f"splits ({', '.join(SPLIT_WORDS)}). If the keys are languages, put {{language}} into "
            'one path, such as "reviews.{language}.csv", or join sources: '
            'Concat(Csv("a.csv", language="en"), Csv("b.csv", language="de")).'
        )
    other = "validation" if split == "train" else split
    return DataError(
        f'{noun} has no split {split!r}. Name a file for each split: {{"train": …, "{other}": …}}, '
        'or take splits from the training rows: split={"train": "80%", "validation": "20%"}.'
    )


def check_paths(paths: Paths) -> None:
    """Check what a user gave as paths, without reading.

    Raises:
        TypeError: It is neither a path nor split -> path.
        ValueError: A path holds an unknown placeholder, or only some paths hold {language}.
    """
    without_language: list[str] = []
    with_language: list[str] = []
    for path in each_path(paths):
        if not isinstance(path, str | os.PathLike):
            raise TypeError(
                f"The path is {path!r}. Expected a path, or a path for each split: "
                '{"train": "train.csv", "validation": "dev.csv"}.'
            )
        is_named = "language" in placeholders(os.fspath(path))
        (with_language if is_named else without_language).append(os.fspath(path))
    if with_language and without_language:
        raise ValueError(
            f"{with_language[0]!r} has {{language}} and {without_language[0]!r} has not, so the "
            "language of its rows is unknown. Write {language} in all paths, or join sources: "
            'Concat(Csv("train.csv", language="en"), Csv({"test": "test.{language}.csv"})).'
        )


def each_path(paths: Paths) -> Iterator[Any]:
    """All paths that a user gave."""
    for of_split in paths.values() if isinstance(paths, Mapping) else (paths,):
        several: Sequence[Any] = of_split if isinstance(of_split, list | tuple) else [of_split]
        yield from several
