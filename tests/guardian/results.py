"""Results of a test and pictures, and the one way in which tests send what belongs to Guardian."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from typing import Any

from tests.cast import Api


def check(name: str = "contrast", status: str = "failed", **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "category": "accessibility",
        "title": f"About {name}",
        "status": status,
        **fields,
    }


def results(test_run_id: str = "test-1", **fields: Any) -> dict[str, Any]:
    """A test with one check of each outcome that counts."""
    checks = [check(), check("title", "passed"), check("csp", "warning", category="security")]
    return {
        "testRunId": test_run_id,
        "timestamp": "2026-01-02T03:04:05Z",
        "url": "https://shop.example/",
        "environment": "staging",
        "tests": checks,
        "accessibility": {"score": 91.5, "violations": 1, "incomplete": 2, "passes": 40},
        "performance": {"loadTime": 1200, "ttfb": 80, "fcp": 700, "lcp": 900.5, "cls": 0.02},
        "security": {"vulnerabilities": [{"id": "CVE-2026-1"}], "warnings": 1},
        "screenshots": ["home.png"],
        "summary": {"passed": 1, "failed": 1, "warnings": 1},
        **fields,
    }


def png(width: int = 3, height: int = 2, shade: int = 0) -> bytes:
    """A real picture of one shade of grey."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\x00" + bytes([shade]) * width) * height)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )


def jpeg(width: int = 3, height: int = 2, *, before: bytes = b"") -> bytes:
    """The beginning of a JPEG, as far as a reader needs it to tell the size."""
    application = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\x00" + bytes(9)
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + application + before + frame + b"\xff\xd9"


def send(api: Api, payload: Any, upload_type: str = "test-results", **metadata: Any) -> Any:
    """The answer to one upload into the project Website; as it is, as a client sends pictures."""
    metadata.setdefault("projectName", "Website")
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    document = {"type": upload_type, "data": b64encode(body).decode(), "metadata": metadata}
    return api.send("POST", "/upload/guardian", document)


def made_by(answer: Any, api: Api) -> dict[str, Any]:
    """The test that an upload made."""
    assert answer.status_code == 201, answer.content
    found = api.send("GET", f"/guardian/tests/{answer.json()['testId']}")
    assert found.status_code == 200, found.content
    return found.json()
