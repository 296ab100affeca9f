"""The docs say what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"


def test_the_task_cards_have_not_drifted() -> None:
    spec = importlib.util.spec_from_file_location("make_tasks", DOCS / "make_tasks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "tasks.md").read_text(encoding="utf-8") == module.page(), "run: make docs"


def test_every_promise_names_a_test_that_is_there() -> None:
    found, file = 0, ""
    for file_of, name in re.findall(
        r"`(?:(\w+\.py)::)?(test_\w+)`", (DOCS / "reliability.md").read_text(encoding="utf-8")
    ):
        file = file_of or file  # a name alone is of the file before
        assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8"), f"{file}::{name}"
        found += 1
    assert found > 30
