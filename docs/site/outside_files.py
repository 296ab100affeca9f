"""A hook of mkdocs: files outside docs/ that a page links to become pages of the site."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files

LINK = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
LANGUAGES = {".py": "python", ".cfg": "ini", ".toml": "toml", ".csv": "text", ".md": "markdown"}


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for every file outside docs/ that a page links to.

    Args:
        files: Those of docs/.
        config: mkdocs' own.
    """
    root = Path(config.docs_dir).parent
    for page in list(files.documentation_pages()):
        for link, _ in LINK.findall(page.content_string):
            outside = _outside_path(page.src_uri, link)
            if (
                outside
                and (root / outside).is_file()
                and not files.get_file_from_path(_page_of(outside))
            ):
                files.append(
                    File.generated(
                        config,
                        _page_of(outside),
                        content=_listing(root, outside),
                    )
                )
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Point links to files outside docs/ at their pages.

    Args:
        markdown: Text of the page.
        page: The page.
        config: mkdocs' own.
        files: With the pages of `on_files`.
    """

    def moved(match: re.Match[str]) -> str:
        outside = _outside_path(page.file.src_uri, match[1])
        if outside is None or files.get_file_from_path(_page_of(outside)) is None:
            return match[0]
        return f"]({relpath(_page_of(outside), dirname(page.file.src_uri) or '.')})"

    return LINK.sub(moved, markdown)


def _outside_path(page: str, link: str) -> str | None:
    """The path of a link from the project's root; None if it stays in docs/."""
    path = normpath(f"docs/{dirname(page)}/{link}")
    return None if path.startswith(("docs/", "..")) else path


def _page_of(outside: str) -> str:
    return f"files/{outside.replace('/', '_')}.md"


def _listing(root: Path, outside: str) -> str:
    path = root / outside
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    language = LANGUAGES.get(path.suffix, "text")
    return f"# {outside}\n\n````{language}\n{text.rstrip()}\n````\n"
