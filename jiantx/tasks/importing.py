"""Tasks from a file of the user's own, which registers them."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from jiantx.sources import DataError
from jiantx.tasks.registry import TASKS


def import_tasks(paths: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    """Run Python files that register tasks, task types or heads.

    The folder of a file is put on Python's path, as if the file were run by itself.

    Args:
        paths: The files. One that was run before is not run again.

    Returns:
        The names of the tasks that were not registered before.

    Raises:
        DataError: There is no such file, or an imported module has its name.
    """
    before = set(TASKS)
    for path in paths:
        _import_file(Path(path).resolve())
    return tuple(name for name in TASKS if name not in before)


def _import_file(file: Path) -> None:
    if not file.is_file() or file.suffix != ".py":
        raise DataError(f"{file} is no Python file, so no tasks can be imported from it.")
    imported = sys.modules.get(file.stem)
    if imported is not None:
        imported_from = getattr(imported, "__file__", None)
        if imported_from is None or Path(imported_from).resolve() != file:
            raise DataError(
                f"A module named {file.stem!r} is imported already ({imported_from}), so {file} "
                "needs another name."
            )
        return
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))
    sys.modules[file.stem] = module  # column functions are looked up by their module's name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.stem]
        raise
