"""Import programs of benchmarks/, which find each other beside themselves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py"))
missing = pytest.mark.skipif(not MODULES, reason="the benchmarks are not here")


@contextmanager
def benchmark_programs(*names: str) -> Iterator[Any]:
    """Import programs by name; afterwards forget them and the modules that they imported.

    Their names are common words (`train`, `features`), which must not hide other modules.
    """
    hidden = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        try:
            yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
        finally:
            for name in MODULES:
                sys.modules.pop(name, None)
            sys.modules.update(hidden)
