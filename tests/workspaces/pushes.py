"""Pushes as tests make them: files as they are listed, chunks sent, a revision committed."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any

from odavl.wire.encoding import sha256_hex
from tests.cast import Api

BASE = "/sync/workspace/website"


def listed(path: str, content: bytes, size: int = 0) -> dict[str, Any]:
    """A file of a manifest; in chunks of ``size`` bytes where that is given."""
    found: dict[str, Any] = {"path": path, "sha256": sha256_hex(content), "size": len(content)}
    if size:
        parts = [content[at : at + size] for at in range(0, len(content), size)]
        found["chunks"] = [{"sha256": sha256_hex(part), "size": len(part)} for part in parts]
    return found


def put(api: Api, content: bytes, name: str = "", base: str = BASE, **headers: str) -> Any:
    return api.put(
        f"/api/v1{base}/chunks/{name or sha256_hex(content)}",
        content,
        content_type="application/octet-stream",
        headers=headers,
    )


def commit(api: Api, files: list[dict[str, Any]], base: int = 0, **headers: str) -> Any:
    document = {"baseRevision": base, "machine": "laptop", "files": files}
    return api.send("POST", f"{BASE}/revisions", document, **headers)


def pushed(api: Api, files: Mapping[str, bytes], base: int = 0) -> Any:
    """The answer to the commit of ``files``, every one of them one chunk."""
    for content in files.values():
        if content:
            assert put(api, content).status_code in (200, 201)
    answer = commit(api, [listed(path, content) for path, content in files.items()], base)
    assert answer.status_code == 201, answer.content
    return answer.json()


def fetched(api: Api, name: str, base: str = BASE) -> Any:
    """Status and bytes of a chunk."""
    answer = api.get(f"/api/v1{base}/chunks/{name}")
    if answer.status_code != 200:
        return answer.status_code, answer.json()["code"]
    body = b"".join(answer.streaming_content)
    return 200, gzip.decompress(body) if answer.get("Content-Encoding") == "gzip" else body
