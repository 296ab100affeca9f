"""A Hub on this machine: what `datasets` and `huggingface_hub` ask of the real one."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote, urlparse

Files = Mapping[str, bytes]


def commit_of(revision: str) -> str:
    """The commit that a branch is at: 40 hexadecimal digits."""
    return hashlib.sha1(revision.encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    """Answers for `repositories`: name -> revision -> files."""

    repositories: ClassVar[Mapping[str, Mapping[str, Files]]]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        segments = [unquote(segment) for segment in urlparse(self.path).path.strip("/").split("/")]
        is_api = segments[0] == "api"
        kind, owner, name, verb, revision, *rest = [*segments[is_api:], "", "", "", "", ""]
        revisions = self.repositories.get(f"{owner}/{name}", {})
        commits = {commit_of(branch): branch for branch in revisions}
        branch = commits.get(revision, revision or "main")
        if kind != "datasets" or branch not in revisions:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"}, with_body)
            return
        files = revisions[branch]
        headers = {"X-Repo-Commit": commit_of(branch)}
        if verb == "resolve":
            content = files.get("/".join(filter(None, rest)))
            if content is None:
                self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"}, with_body)
                return
            headers["ETag"] = f'"{hashlib.sha1(content).hexdigest()}"'
            self._send(200, content, headers, with_body)
        elif verb == "tree":
            entries = [
                {"type": "file", "path": path, "size": len(content), "oid": commit_of(path)}
                for path, content in files.items()
            ]
            self._send(200, json.dumps(entries).encode(), headers, with_body)
        else:
            info = {
                "id": f"{owner}/{name}",
                "sha": commit_of(branch),
                "siblings": [{"rfilename": path} for path in files],
            }
            self._send(200, json.dumps(info).encode(), headers, with_body)

    def _send(self, code: int, body: bytes, headers: Mapping[str, str], with_body: bool) -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def fake_hub(repositories: Mapping[str, Mapping[str, Files]]) -> Iterator[str]:
    """Serve repositories.

    Args:
        repositories: Name -> branch -> path -> content.

    Yields:
        The address, for HF_ENDPOINT.
    """
    handler = type("Handler", (_Handler,), {"repositories": repositories})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
