"""How tests read problem documents."""

from __future__ import annotations

from typing import Any


def problem(answer: Any, status: int, code: str, *, pointer: str | None = None) -> dict[str, Any]:
    """The problem in ``answer``, asserted to be a whole one of this status and code."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json", answer.content
    document = answer.json()
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["type"] == f"urn:odavl:problem:{code}"
    assert isinstance(document["retryable"], bool)
    assert document["requestId"] == answer["X-Request-Id"]
    if pointer is not None:
        assert [error["pointer"] for error in document["errors"]] == [pointer], document
    return document
