"""A hook of mkdocs: what lies outside docs/, links and code blocks that suit a site.

Files outside docs/ that a page links to become pages of the site. The script that searches without
a server comes from the site's own folder. Links are labelled by the titles of pages.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, normpath, relpath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

LINK = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
LABELLED_BY_FILE = re.compile(r"\[[\w/]+\.md\]\(([\w./]+\.md)(#[^)\s]*)?\)")
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
SEARCH_SHIM = "https://unpkg.com/iframe-worker/shim"
LOCAL_SHIM = "site/iframe_worker.js"
FENCE_WORDS = re.compile(r"^( *```\w+) .+$", re.MULTILINE)  # "```python notest"
LITERAL_FENCE = re.compile(r"<p>[^<]*```")
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
    """Point links to files outside docs/ at their pages, and label links by titles.

    What follows a code block's language is for the tests; the site would not know it for a block.

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

    def titled(match: re.Match[str]) -> str:
        target = normpath(f"{dirname(page.file.src_uri) or '.'}/{match[1]}")
        file = files.get_file_from_path(target)
        title = file and TITLE.search(file.content_string)
        return f"[{title[1]}]({match[1]}{match[2] or ''})" if title else match[0]

    return LABELLED_BY_FILE.sub(titled, LINK.sub(moved, FENCE_WORDS.sub(r"\1", markdown)))


def on_page_content(html: str, *, page: Any, config: Any, files: Files) -> str:
    """End the build where a code block's fence would be seen as text.

    Args:
        html: Content of the page.
        page: The page.
        config: mkdocs' own.
        files: All files.

    Raises:
        PluginError: A fence is text: the block, and what follows it, would be mixed up.
    """
    if LITERAL_FENCE.search(html):
        raise PluginError(f"{page.file.src_uri}: the fence of a code block is shown as text.")
    return html


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """Read the script that searches without a server from the site's folder: nobody needs a net.

    Args:
        output: HTML of the page.
        page: The page.
        config: mkdocs' own.
    """
    return output.replace(SEARCH_SHIM, relpath(LOCAL_SHIM, dirname(page.file.dest_uri) or "."))


def on_post_template(output: str, *, template_name: str, config: Any) -> str:
    """Do the same for the page of absent pages, which a server gives under any path.

    Args:
        output: Text of the template.
        template_name: Its file.
        config: mkdocs' own.
    """
    return output.replace(SEARCH_SHIM, f"/{LOCAL_SHIM}")


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
