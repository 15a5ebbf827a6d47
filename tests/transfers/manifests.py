"""Transfers as tests make them: cut, announced, sent, ended."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from odavl.wire.encoding import sha256_hex
from tests.cast import Api

MEBIBYTE = 1024 * 1024


def cut(payload: bytes, size: int) -> list[bytes]:
    return [payload[at : at + size] for at in range(0, len(payload), size)]


def manifest(payload: bytes, parts: Sequence[bytes], **fields: Any) -> dict[str, Any]:
    return {
        "type": "analysis-results",
        "fileName": "results.json",
        "size": len(payload),
        "sha256": sha256_hex(payload),
        "chunks": [{"sha256": sha256_hex(chunk), "size": len(chunk)} for chunk in parts],
        "metadata": {"projectName": "Website", "branch": "main"},
        **fields,
    }


def init(api: Api, payload: bytes, parts: Sequence[bytes], key: str = "", **fields: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return api.send("POST", "/upload/insight/init", manifest(payload, parts, **fields), **headers)


def begun(api: Api, payload: bytes, chunks: Sequence[bytes], key: str = "", **fields: Any) -> Any:
    answer = init(api, payload, chunks, key, **fields)
    assert answer.status_code == 201, answer.content
    return answer.json()


def put(api: Api, upload_id: str, chunk: bytes, name: str | None = None, **headers: str) -> Any:
    return api.put(
        f"/api/v1/upload/insight/{upload_id}/chunks/{name or sha256_hex(chunk)}",
        chunk,
        content_type="application/octet-stream",
        headers=headers,
    )


def finalize(api: Api, upload_id: str) -> Any:
    return api.send("POST", "/upload/insight/finalize", {"uploadId": upload_id})


def transferred(api: Api, payload: bytes, size: int, **fields: Any) -> Any:
    """Everything that is missing, then the answer to finalize."""
    chunks = cut(payload, size)
    told = begun(api, payload, chunks, **fields)
    for chunk in chunks:
        if sha256_hex(chunk) in told["missing"]:
            answer = put(api, told["uploadId"], chunk)
            assert answer.status_code in (200, 201), answer.content
    return finalize(api, told["uploadId"])


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)
