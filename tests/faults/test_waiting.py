"""Row 57 of what must go wrong without harm: whoever waits for the database does so in vain."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.faults.hub_at_work import HubAtWork
from tests.insight.documents import document, envelope, finding

pytestmark = pytest.mark.end_to_end
AT_ONCE = 8
"""As many as the hub has threads for requests: two processes with four each."""


@pytest.fixture
def hub() -> Iterator[HubAtWork]:
    found = HubAtWork()
    yield found
    found.close()


def sent(hub: HubAtWork, branch: str, *names: str) -> httpx.Response:
    body = document({"a.py": [finding(name) for name in names]})
    metadata = {"projectName": "shop", "branch": branch}
    return hub.http.post("/upload/insight", json=envelope(body, metadata=metadata))


def at_once(hub: HubAtWork, branch: str) -> list[httpx.Response]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda n: sent(hub, branch, f"own{n}"), range(AT_ONCE)))


@contextmanager
def ingest_held_open(hub: HubAtWork, branch: str) -> Iterator[None]:
    """While another session has what a worker has that takes a run of the branch in."""
    with hub.database() as cursor:
        cursor.execute(
            "SELECT id, project_id FROM insight_stream WHERE branch = %s AND EXISTS (SELECT FROM"
            " accounts_project WHERE id = project_id AND slug = 'shop')",
            [branch],
        )
        stream, project = cursor.fetchone()
        cursor.execute("BEGIN")
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"insight.turn:{project}:{branch}"],
        )
        cursor.execute("SELECT FROM insight_stream WHERE id = %s FOR KEY SHARE", [stream])
        yield
        cursor.execute("ROLLBACK")


def test_row_57_uploads_to_a_branch_that_is_being_taken_in_wait_for_nobody(hub: HubAtWork) -> None:
    assert sent(hub, "main", "base").status_code == 201
    with ingest_held_open(hub, "main"):
        answers = at_once(hub, "main")
        assert [answer.status_code for answer in answers] == [202] * AT_ONCE
        assert sent(hub, "other", "base").status_code == 201
        assert hub.http.get("/insight/issues?project=shop&branch=main").json()["total"] == 1
        for path in ("/healthz", "/readyz"):
            answer = httpx.get(hub.process.url + path, timeout=60, trust_env=False)
            assert answer.status_code == 200, path
    for answer in answers:
        hub.finished(answer.json()["jobId"])
    runs = hub.http.get("/insight/runs?project=shop&branch=main").json()["items"]
    assert [run["sequence"] for run in runs] == list(range(AT_ONCE + 1, 0, -1))
    assert [(run["counts"]["new"], run["counts"]["fixed"]) for run in runs[:-1]] == [
        (1, 1)
    ] * AT_ONCE
    assert sent(hub, "main", "base").status_code == 201


def test_row_57_whoever_meets_another_lock_is_asked_to_come_again(hub: HubAtWork) -> None:
    """A lock that no hub of ours holds for long, such as a person's on a whole table."""
    assert sent(hub, "main", "base").status_code == 201
    with hub.database() as cursor:
        cursor.execute("BEGIN; LOCK TABLE insight_run IN ACCESS EXCLUSIVE MODE")
        answers: list[Any] = at_once(hub, "main")
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["code"] for answer in answers} == {"service_unavailable"}
        assert all(answer.headers["Retry-After"] for answer in answers)
        cursor.execute("ROLLBACK")
    assert sent(hub, "main", "base").status_code == 201
    assert hub.http.get("/insight/runs?project=shop").json()["items"][0]["sequence"] == 2
