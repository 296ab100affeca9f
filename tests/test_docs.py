"""The docs say what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"


def page_program(name: str) -> ModuleType:
    """The program `docs/make_….py` of a page."""
    spec = importlib.util.spec_from_file_location(f"make_{name}", DOCS / f"make_{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("program", "page"),
    [
        ("tasks", "tasks.md"),
        ("trainer_arguments", "trainer_arguments.md"),
        ("recipe_flags", "reference/recipe_flags.md"),
        ("results", "results/paper_table.md"),
    ],
)
def test_pages_that_commands_write_have_not_drifted(program: str, page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == page_program(program).page(), "run: make docs"


@pytest.mark.parametrize(("page", "fewest"), [("reliability.md", 30), ("pitfalls.md", 30)])
def test_every_test_that_a_page_names_is_there(page: str, fewest: int) -> None:
    citations = re.findall(
        r"`(?:(\w+\.py)::)?(test_\w+)`", (DOCS / page).read_text(encoding="utf-8")
    )
    assert len(citations) >= fewest
    file_name = ""
    for cited_file, test_name in citations:
        file_name = cited_file or file_name  # a test without a file is in the file before
        texts = [path.read_text(encoding="utf-8") for path in TESTS.rglob(file_name)]
        assert any(f"def {test_name}(" in text for text in texts), f"{file_name}::{test_name}"


@pytest.mark.slow
def test_pictures_are_drawn_from_the_tables_of_their_pages(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name, draw in page_program("pictures").PICTURES.items():
        assert (DOCS / name).is_file()
        draw(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0
