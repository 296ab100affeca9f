"""The Hub's own parquet copy of a repository, for repositories that are still scripts."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jiantx.sources.base import DataError

if TYPE_CHECKING:
    import datasets

logger = logging.getLogger("jiantx.sources")

BRANCH = "refs/convert/parquet"
_FILE = re.compile(r"(?P<config>[^/]+)/(?P<split>[^/]+)/[^/]+\.parquet")
_SCRIPT_ERROR = "Dataset scripts are no longer supported"
# What a script calls its only configuration; the Hub may call it otherwise.
_ONLY_CONFIG_NAMES = ("default", "plain_text")


@dataclass(frozen=True)
class Conversion:
    """The parquet files of a repository, at `<configuration>/<split>/<number>.parquet`.

    Args:
        path: The repository, or a folder.
        commit: Of the files; None for a folder.
        files: Configuration -> split -> its files.
    """

    path: str
    commit: str | None
    files: Mapping[str, Mapping[str, Sequence[str]]]

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """Configuration -> names of its splits."""
        return {config: tuple(files) for config, files in self.files.items()}

    def load(self, config: str | None, split: str, cache: str | None) -> datasets.Dataset:
        """Load the rows of a split; from the Hub, only its files are downloaded.

        Args:
            config: The configuration; None if there is one only, or for `default`.
            split: The split, or several joined by "+".
            cache: The folder for Arrow files; the default one of `datasets` if None.

        Raises:
            DataError: There is no such configuration or split.
        """
        import datasets
        from huggingface_hub import snapshot_download

        files = {name: self._files(config, name) for name in split.split("+")}
        folder = self.path
        if self.commit is not None:
            needed = list(itertools.chain.from_iterable(files.values()))
            folder = snapshot_download(
                self.path, repo_type="dataset", revision=self.commit, allow_patterns=needed
            )
        paths = {}
        for name, relative_paths in files.items():
            paths[name] = [str(Path(folder, path)) for path in relative_paths]
        return datasets.load_dataset("parquet", data_files=paths, split=split, cache_dir=cache)

    def _files(self, config: str | None, split: str) -> Sequence[str]:
        """The files of a split."""
        name = known_config(self.path, config, tuple(self.files)) or "default"
        files = self.files.get(name, {}).get(split)
        if files is None:
            raise DataError(
                f"The parquet copy of {self.path} has no split {split!r} of a configuration "
                f"{name!r}. It has: {self.splits}."
            )
        return files


def known_config(path: str, config: str | None, configs: Sequence[str]) -> str | None:
    """The name under which a repository has a configuration.

    The only configuration of a repository may be called `default`, `plain_text` or as the
    repository; each of these names stands for it.

    Args:
        path: The repository.
        config: The configuration as a source declares it.
        configs: The configurations that there are.
    """
    if config in configs or len(configs) != 1:
        return config
    own_names = (*_ONLY_CONFIG_NAMES, Path(path).name)
    is_same = config is None or {config, configs[0]} <= set(own_names)
    return configs[0] if is_same else config


def is_script_error(error: Exception) -> bool:
    """Whether `datasets` refused a repository because it is a script."""
    return isinstance(error, RuntimeError) and _SCRIPT_ERROR in str(error)


def files_by_config(files: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Configuration -> split -> parquet files; empty unless all of them lie as in a conversion.

    Args:
        files: All files of a repository or a folder, relative to it.
    """
    by_config: dict[str, dict[str, list[str]]] = {}
    for file in sorted(files):
        if not file.endswith(".parquet"):
            continue
        match = _FILE.fullmatch(file)
        if match is None:
            return {}
        by_config.setdefault(match["config"], {}).setdefault(match["split"], []).append(file)
    return by_config


def folder_conversion(folder: str) -> Conversion | None:
    """The conversion that a folder holds; None if it holds something else."""
    files = [str(file.relative_to(folder).as_posix()) for file in Path(folder).rglob("*")]
    by_config = files_by_config(files)
    return Conversion(folder, None, by_config) if by_config else None


def hub_conversion(path: str, revision: str) -> Conversion | None:
    """The conversion that a revision of a repository holds; None if it holds something else.

    Args:
        path: The repository.
        revision: The branch of conversions, or a commit of it.
    """
    from huggingface_hub import HfApi

    commit = HfApi().dataset_info(path, revision=revision).sha
    assert commit is not None
    by_config = files_by_config(HfApi().list_repo_files(path, repo_type="dataset", revision=commit))
    return Conversion(path, commit, by_config) if by_config else None


@lru_cache(maxsize=512)
def conversion_of_script(path: str, revision: str | None) -> Conversion:
    """The conversion of a repository that is a script; the log says so, once a repository.

    Args:
        path: The repository.
        revision: The revision that a source declares, which is a script.

    Raises:
        DataError: The Hub has no conversion; says what to do.
    """
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        conversion = hub_conversion(path, BRANCH)
    except RevisionNotFoundError:
        conversion = None
    if conversion is None:
        raise DataError(
            f"{path} is a script on the Hub, which `datasets` no longer runs, and the Hub has no "
            f"parquet copy of it (branch {BRANCH}). Choose one: (1) download the files that the "
            "script reads, and declare them with `Files`; (2) in an environment with datasets<4, "
            f"load it and write each split with `to_parquet` to <folder>/{path}/<configuration>/"
            "<split>/0000.parquet, then set data_root(<folder>); (3) ask the repository's owners "
            f"to run `datasets-cli convert_to_parquet {path}` (datasets<4)."
        )
    message = f"{path} is a script on the Hub: its parquet copy is read (branch {BRANCH})."
    if revision is not None:
        message += (
            f" The declared revision {revision!r} holds no parquet files. The copy is of the "
            "repository's newest state that the Hub converted, and may differ. To pin it, declare "
            f"revision={conversion.commit!r}."
        )
    logger.warning(message)
    return conversion
