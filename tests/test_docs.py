"""The docs say what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"


@pytest.mark.parametrize("name", ["tasks", "trainer_arguments"])
def test_pages_that_commands_write_have_not_drifted(name: str) -> None:
    spec = importlib.util.spec_from_file_location(f"make_{name}", DOCS / f"make_{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == module.page(), "run: make docs"


def test_the_paper_s_table_is_made_of_the_scores_beside_it() -> None:
    spec = importlib.util.spec_from_file_location("make_results", DOCS / "make_results.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: make docs"


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
    spec = importlib.util.spec_from_file_location("make_pictures", DOCS / "make_pictures.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, draw in module.PICTURES.items():
        assert (DOCS / name).is_file()
        draw(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0
