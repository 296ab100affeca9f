"""The site: its blocks run, its messages are ours, its reference has every public name."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from transformers import TrainingArguments

import jiantx as jx
from jiantx.tasks import registry

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FOLDERS = ("start", "howto", "explanations")
PAGES = [
    "index.md",
    "concepts.md",
    "add_a_task.md",
    "probing.md",
    *(
        str(path.relative_to(DOCS))
        for name in FOLDERS
        for path in sorted((DOCS / name).glob("*.md"))
    ),
]
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
CONSTANTS = {"__version__"}
PUBLIC_NAMES: list[str] = vars(jx)["__all__"]


def blocks(page: str) -> list[tuple[int, str]]:
    """(line, code) of the blocks of a page that can run."""
    text = (DOCS / page).read_text(encoding="utf-8")
    code_blocks = []
    for match in BLOCK.finditer(text):
        indent = len(match[1])
        code = "\n".join(line[indent:] for line in match[2].splitlines())
        code_blocks.append((text[: match.start()].count("\n") + 1, code))
    return code_blocks


@pytest.fixture
def _clean_registry() -> Iterator[None]:
    """Tasks that a page registers are its own."""
    before = dict(registry.TASKS._values)
    yield
    registry.TASKS._values.clear()
    registry.TASKS._values.update(before)


@pytest.fixture
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings stop early: here it counts that they run."""
    checked = TrainingArguments.__post_init__

    def with_few_steps(arguments: TrainingArguments) -> None:
        arguments.max_steps = min(arguments.max_steps, 6) if arguments.max_steps > 0 else 6
        checked(arguments)

    monkeypatch.setattr(TrainingArguments, "__post_init__", with_few_steps)


@pytest.mark.slow
@pytest.mark.usefixtures("world", "_clean_registry", "_few_steps")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_blocks_of_a_page_run(page, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for line, code in blocks(page):
        try:
            exec(compile(code, f"{page}, block at line {line}", "exec"), names)
        except Exception as error:
            raise AssertionError(f"{page}, block at line {line}: {error!r}") from error


@cache
def our_texts() -> str:
    """All texts of the package's code, values in them as `…`, a line each."""
    texts = []
    for path in (ROOT / "jiantx").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                pieces = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
                texts.append("".join(map(str, pieces)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_messages_of_troubleshooting_are_ours() -> None:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert len(messages) >= 30
    for message in messages:
        for phrase in message.split("…"):
            assert phrase.strip() in our_texts(), message


def test_reference_has_every_public_name() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")]
    names = set(re.findall(r"jx\.([A-Za-z_]\w*)", "\n".join(pages)))
    assert not set(PUBLIC_NAMES) - names - CONSTANTS


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"^ +- (?:[\w' -]+: )?([\w/]+\.(?:md|ipynb))$", text, re.MULTILINE))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert yaml.safe_load(text)["site_name"] == "jiantx"
    assert pages <= listed


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path) -> None:
    """Links, anchors and names of the reference included; needs `make site`'s extra."""
    pytest.importorskip("mkdocs", reason="pip install 'jiantx[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "index.html").is_file()


def hook(name: str) -> ModuleType:
    """A hook of the site, as mkdocs imports it."""
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location(name, DOCS / "site" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_search_of_the_site_needs_no_network() -> None:
    """Material reads a script from unpkg.com, and hides the search where it cannot."""
    outside_files = hook("outside_files")
    page = SimpleNamespace(file=SimpleNamespace(dest_uri="howto/metrics.html"))
    html = f'<script src="{outside_files.SEARCH_SHIM}"></script>'
    changed = outside_files.on_post_page(html, page=page, config=None)
    assert changed == '<script src="../site/iframe_worker.js"></script>'
    assert (DOCS / outside_files.LOCAL_SHIM).is_file()


@pytest.mark.parametrize(("source", "up"), [("start/a.md", "../"), ("index.md", "")])
def test_links_are_labelled_by_titles(source: str, up: str) -> None:
    pages = {"tasks.md": SimpleNamespace(content_string="# The task library\n")}
    page = SimpleNamespace(file=SimpleNamespace(src_uri=source))
    changed = hook("outside_files").on_page_markdown(
        f"See [tasks.md]({up}tasks.md#xnli), [docs/no.md](no.md) and [words]({up}tasks.md).",
        page=page,
        config=None,
        files=SimpleNamespace(get_file_from_path=pages.get),
    )
    assert changed == (
        f"See [The task library]({up}tasks.md#xnli), [docs/no.md](no.md) and [words]({up}tasks.md)."
    )
