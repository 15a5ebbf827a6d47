"""``/api/v1/sync/jobs`` and ``/api/v1/jobs/{id}``: list, look, follow, act."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent, Project
from accounts.services import create_api_key, create_project, revoke_api_key
from jobs import execution, registry, services, streaming
from jobs.claims import Claim, claim
from jobs.models import Job, State
from odavl.wire.errors import InvalidPayload
from tests.cast import Api, Person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _types() -> Iterator[None]:
    def refuse(held: Claim) -> None:
        raise InvalidPayload("Line 3 is wrong.")

    registry.register("test.insight", lambda held: None, area="insight")
    registry.register("test.refuses", refuse, area="insight")
    registry.register("test.backup", lambda held: None, area="storage")
    yield
    for name in ("test.insight", "test.refuses", "test.backup"):
        registry.unregister(name)


def enqueue(person: Person, job_type: str = "test.insight", project: Project | None = None) -> Job:
    return services.enqueue(
        organization=person.organization,
        job_type=job_type,
        payload={"url": "https://hub/runs/1"},
        project=project,
    )


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["items"]]


def act(api: Api, job: Job, action: str) -> Any:
    return api.send("POST", "/sync/jobs", {"action": action, "jobId": str(job.id)})


def key_with(person: Person, *scopes: str, project: Project | None = None) -> Api:
    _, token = create_api_key(by=person.principal, name="k", scopes=scopes, project=project)
    return Api(token)


def test_jobs_are_listed_latest_first_with_statistics(alice: Person) -> None:
    first, second = enqueue(alice), enqueue(alice, "test.refuses")
    execution.run(second.id)
    answer = alice.api.send("GET", "/sync/jobs")
    assert ids(answer) == [str(second.id), str(first.id)]
    found = answer.json()
    assert found["total"] == 2
    assert found["statistics"] == {
        "byState": {"waiting": 1, "failed": 1},
        "byType": {"test.insight": {"waiting": 1}, "test.refuses": {"failed": 1}},
    }
    job = found["items"][0]
    assert (job["state"], job["progress"], job["attempts"]) == ("failed", 0, 1)
    assert job["problem"]["detail"] == "Line 3 is wrong."
    assert job["url"] == "https://hub/runs/1"
    assert job["finishedAt"].endswith("+00:00")


def test_jobs_are_filtered_and_paged(alice: Person, website: Project) -> None:
    jobs = [enqueue(alice, project=website), enqueue(alice, "test.refuses"), enqueue(alice)]
    services.pause(jobs[2])

    def listed(query: str) -> list[str]:
        return ids(alice.api.send("GET", f"/sync/jobs?{query}"))

    assert listed("state=paused") == [str(jobs[2].id)]
    assert len(listed("state=paused,waiting")) == len(listed("state=paused&state=waiting")) == 3
    assert listed("type=test.refuses") == [str(jobs[1].id)]
    assert listed("type=nothing") == []
    assert listed("project=website") == [str(jobs[0].id)]
    page = alice.api.send("GET", "/sync/jobs?limit=2").json()
    assert page["total"] == 3
    assert listed(f"limit=2&cursor={page['next']}") == [str(jobs[0].id)]


@pytest.mark.parametrize("query", ["state=odd", "type=%00", "limit=0", "cursor=x"])
def test_a_filter_that_cannot_be_is_400(alice: Person, query: str) -> None:
    assert alice.api.send("GET", f"/sync/jobs?{query}").status_code == 400


def test_a_job_is_paused_resumed_cancelled_and_retried(alice: Person) -> None:
    job = enqueue(alice)
    for action, state in (
        ("pause", "paused"),
        ("resume", "waiting"),
        ("cancel", "cancelled"),
        ("retry", "waiting"),
    ):
        answer = act(alice.api, job, action)
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    actions = AuditEvent.objects.for_organization(alice.organization).values_list(
        "action", flat=True
    )
    assert {"job.paused", "job.resumed", "job.cancelled", "job.retried"} <= set(actions)


def test_what_the_state_forbids_is_409(alice: Person) -> None:
    job = enqueue(alice)
    for action in ("resume", "retry"):
        answer = act(alice.api, job, action)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert act(alice.api, job, "explode").status_code == 422


def test_strangers_and_narrow_keys_see_nothing(alice: Person, charlie: Person) -> None:
    job = enqueue(alice)
    backup = enqueue(alice, "test.backup")
    for api in (charlie.api, key_with(alice, "storage:admin")):
        assert str(job.id) not in ids(api.send("GET", "/sync/jobs"))
        assert api.send("GET", f"/jobs/{job.id}").status_code == 404
        assert api.send("GET", f"/jobs/{job.id}/events").status_code == 404
        assert act(api, job, "cancel").status_code == 404
    assert ids(key_with(alice, "insight:read").send("GET", "/sync/jobs")) == [str(job.id)]
    assert ids(key_with(alice, "storage:read").send("GET", "/sync/jobs")) == [str(backup.id)]
    reader = key_with(alice, "insight:read")
    assert act(reader, job, "cancel").status_code == 404
    assert reader.send("DELETE", "/sync/jobs?daysToKeep=0").json() == {"deleted": 0}
    assert alice.api.send("GET", f"/jobs/{uuid.uuid4()}").status_code == 404


def test_a_key_of_one_project_sees_its_jobs_only(alice: Person, website: Project) -> None:
    other = create_project(by=alice.principal, name="Other")
    own = enqueue(alice, project=website)
    enqueue(alice, project=other)
    enqueue(alice)
    api = key_with(alice, "insight:write", project=website)
    answer = api.send("GET", "/sync/jobs")
    assert ids(answer) == [str(own.id)]
    assert answer.json()["statistics"]["byState"] == {"waiting": 1}


def test_finished_jobs_are_cleared_by_age(alice: Person) -> None:
    old, new, waiting = enqueue(alice), enqueue(alice), enqueue(alice)
    for job in (old, new):
        execution.run(job.id)
    Job.across_organizations.filter(id=old.id).update(
        finished_at=timezone.now() - timedelta(days=8)
    )
    assert alice.api.send("DELETE", "/sync/jobs").json() == {"deleted": 1}
    assert ids(alice.api.send("GET", "/sync/jobs")) == [str(waiting.id), str(new.id)]
    assert alice.api.send("DELETE", "/sync/jobs?daysToKeep=0").json() == {"deleted": 1}
    assert ids(alice.api.send("GET", "/sync/jobs")) == [str(waiting.id)]


# ── Events ───────────────────────────────────────────────────────────────────


class Stream:
    """A stream of events, read piece by piece on a loop of its own.

    In a thread of its own, too: a browser's loop may be running in this one.
    """

    def __init__(self, answer: Any) -> None:
        assert answer.status_code == 200
        assert answer["Content-Type"] == "text/event-stream"
        self._pieces = answer.streaming_content
        self._loop = asyncio.new_event_loop()
        self._thread = ThreadPoolExecutor(1)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        try:
            return self._run(anext(self._pieces))
        except StopAsyncIteration:
            self.close()
            raise StopIteration from None

    def close(self) -> None:
        if not self._loop.is_closed():
            self._run(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._thread.shutdown()

    def _run(self, work: Awaitable[Any]) -> Any:
        return self._thread.submit(self._loop.run_until_complete, work).result()


@pytest.fixture(autouse=True)
def _no_connection_stays() -> Iterator[None]:
    """The thread that looks for streams has one of its own, which the test's database outlives."""
    yield
    streaming.polling.submit(lambda: connection.close()).result()  # noqa: PLW0108 - that thread's


def events_of(answer: Any) -> list[tuple[str, dict[str, Any]]]:
    """Ids and data of the events in a whole stream."""
    blocks = b"".join(Stream(answer)).decode().split("\n\n")
    found = [
        dict(line.split(": ", 1) for line in block.splitlines())
        for block in blocks
        if block.startswith("id: ")
    ]
    return [(event["id"], json.loads(event["data"])) for event in found]


def test_a_finished_job_sends_its_end_and_then_204(alice: Person) -> None:
    job = enqueue(alice)
    execution.run(job.id)
    path = f"/jobs/{job.id}/events"
    ((event_id, data),) = events_of(alice.api.send("GET", path))
    assert (data["state"], data["progress"]) == ("completed", 100)
    again = alice.api.send("GET", path, **{"Last-Event-ID": event_id})
    assert (again.status_code, again.content) == (204, b"")


def test_progress_arrives_while_the_job_runs(alice: Person) -> None:
    job = enqueue(alice)
    held = claim(job.id)
    assert held is not None
    stream = Stream(alice.api.send("GET", f"/jobs/{job.id}/events"))
    assert next(stream).startswith(b"retry: ")
    assert b'"progress":0' in next(stream)
    held.progress(40)
    assert b'"progress":40' in next(stream)
    held.complete()
    assert b'"state":"completed"' in next(stream)
    assert list(stream) == []


def test_streams_end_and_beat(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT", 0.2)
    monkeypatch.setattr(streaming, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(streaming, "LONGEST", 1.0)
    job = enqueue(alice)
    pieces = list(Stream(alice.api.send("GET", f"/jobs/{job.id}/events")))
    assert pieces.count(b": alive\n\n") >= 2
    assert len([piece for piece in pieces if b"event: job" in piece]) == 1


def test_only_so_many_streams_stay_open(
    alice: Person, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = enqueue(alice)
    path = f"/jobs/{job.id}/events"
    open_streams = []
    settings.EVENT_STREAMS = 3
    monkeypatch.setattr(streaming, "_slots", threading.BoundedSemaphore(3))
    for _ in range(3):
        stream = Stream(alice.api.send("GET", path))
        next(stream), next(stream)
        open_streams.append(stream)
    ((event_id, _data),) = events_of(alice.api.send("GET", path))
    assert events_of(alice.api.send("GET", path, **{"Last-Event-ID": event_id})) == []
    for stream in open_streams:
        stream.close()
    held = claim(job.id)
    assert held is not None
    told = threading.Event()

    def finish() -> None:
        told.wait()
        held.complete()
        connection.close()

    thread = threading.Thread(target=finish)
    thread.start()
    stream = Stream(alice.api.send("GET", path))
    next(stream), next(stream)
    told.set()
    assert b"completed" in b"".join(stream)
    thread.join()
    assert Job.across_organizations.get(id=job.id).state == State.COMPLETED


def test_a_stream_ends_when_its_key_is_revoked(alice: Person) -> None:
    job = enqueue(alice)
    key, token = create_api_key(by=alice.principal, name="k", scopes=("insight:read",))
    stream = Stream(Api(token).send("GET", f"/jobs/{job.id}/events"))
    assert b"retry" in next(stream)
    assert b"waiting" in next(stream)
    revoke_api_key(by=alice.principal, key=key)
    services.cancel(job)
    assert b"".join(stream) == b"", "what happened since is not told"
