"""Rows 41 to 46 and 48 of what must go wrong without harm: jobs of a whole real hub."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.hub_at_work import FINDINGS, HubAtWork, measured, payload, seconds_since

pytestmark = [pytest.mark.end_to_end]
RECOVERY = 600.0
STOPPED = 600.0


@pytest.fixture
def hub() -> Iterator[HubAtWork]:
    found = HubAtWork()
    yield found
    found.close()


# The web's own code, which dies where it would send the message.
DIES_BEFORE_THE_MESSAGE = """
import os, signal, sys
import django
django.setup()
from django.test import Client
from jobs import messages
messages.send = lambda job: os.kill(os.getpid(), signal.SIGKILL)
Client(headers={"Authorization": "Bearer " + sys.argv[1]}).post(
    "/api/v1/upload/insight", sys.stdin.buffer.read(), content_type="application/octet-stream",
    headers={"Content-Encoding": "gzip", "X-Odavl-Type": "analysis-results",
             "X-Odavl-Metadata": "eyJwcm9qZWN0TmFtZSI6InNob3AiLCJicmFuY2giOiJtYWluIn0"})
"""


def test_row_41_a_crash_between_commit_and_message_delays_by_seconds(hub: HubAtWork) -> None:
    dead = hub.inside(DIES_BEFORE_THE_MESSAGE, hub.key, body=payload(20))
    died = time.monotonic()
    assert dead.returncode == -signal.SIGKILL, dead.stderr.decode()
    (job,) = hub.http.get("/sync/jobs").json()["items"]
    hub.finished(job["id"], RECOVERY)
    measured(f"row 41: done {seconds_since(died):.1f} s after the crash")
    assert hub.rows("main") == (20 * 500, 20 * 500)


def test_row_42_a_worker_killed_in_the_middle_of_an_ingest_leaves_no_double(
    hub: HubAtWork,
) -> None:
    job_id = hub.started(branch="main")
    for process in hub.bulk_workers():
        process.kill()
    killed = time.monotonic()
    job = hub.finished(job_id, RECOVERY)
    measured(f"row 42: recovered {seconds_since(killed):.1f} s after the kill")
    assert job["attempts"] == 2
    assert hub.rows("main") == (FINDINGS, FINDINGS)


def test_row_43_a_worker_that_stops_longer_than_its_lease_writes_nothing() -> None:
    hub = HubAtWork(BULK_WORKERS="2")
    try:
        job_id = hub.started(branch="main")
        sleeper = hub.busy_worker()
        sleeper.suspend()
        stopped = time.monotonic()
        hub.wait(job_id, lambda job: job["attempts"] == 2, RECOVERY)
        measured(f"row 43: taken over {seconds_since(stopped):.1f} s after it stopped")
        sleeper.resume()
        assert hub.finished(job_id)["attempts"] == 2
        assert hub.rows("main") == (FINDINGS, FINDINGS)
        log = hub.process.log()
        assert "the lease is gone, nothing was written" in log or "stopped, nothing was" in log
    finally:
        hub.close()


def test_row_44_a_job_that_kills_its_worker_fails_and_the_next_goes_on(hub: HubAtWork) -> None:
    poison = hub.upload(payload(tag="poison"), branch="main").json()
    for attempt in (1, 2, 3):
        hub.wait(
            poison["jobId"],
            lambda job, attempt=attempt: job["attempts"] == attempt and job["state"] == "active",
        )
        hub.busy_worker().kill()
        hub.expire_leases()
    job = hub.wait(poison["jobId"], lambda job: job["finishedAt"])
    assert (job["state"], job["problem"]["code"]) == ("failed", "worker_lost")
    status = hub.http.get(poison["statusUrl"].removeprefix("/api/v1")).json()
    assert status["state"] == "failed"
    # The run is told behind the commit that ends its job.
    deadline = time.monotonic() + 600
    while (states := states_of_runs(hub)) == ["queued"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert states == ["failed"]
    hub.finished(hub.upload(payload(20, tag="next"), branch="main").json()["jobId"])
    assert hub.rows("main") == (20 * 500, 20 * 500)


def test_row_45_redis_killed_in_the_middle_and_gone_at_an_upload(hub: HubAtWork) -> None:
    job_id = hub.started(branch="main")
    hub.process.server("redis").kill()
    killed = time.monotonic()
    answer = hub.upload(payload(20, tag="b"), branch="other")
    assert answer.status_code == 202, answer.text
    hub.finished(job_id, RECOVERY)
    hub.finished(answer.json()["jobId"], RECOVERY)
    measured(f"row 45: both done {seconds_since(killed):.1f} s after the kill")
    assert hub.rows("main") == (FINDINGS, FINDINGS)
    assert hub.rows("other") == (20 * 500, 20 * 500)


def test_row_46_postgresql_stopped_at_once_in_the_middle(hub: HubAtWork) -> None:
    job_id = hub.started(branch="main")
    kill_postgresql(hub)
    killed = time.monotonic()
    answer = hub.http.get("/sync/jobs")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    hub.finished(job_id, RECOVERY)
    measured(f"row 46: resumed and done {seconds_since(killed):.1f} s after the kill")
    assert hub.rows("main") == (FINDINGS, FINDINGS)


def test_row_46_messages_that_arrive_while_postgresql_is_away_are_kept(hub: HubAtWork) -> None:
    relay = hub.child_named("hub-relay")
    relay.suspend()  # it would send them again, a quarter of a minute later
    worker = hub.bulk_workers()[1]
    worker.suspend()
    sent = [hub.upload(payload(20, tag=tag), branch=tag).json()["jobId"] for tag in "abc"]
    kill_postgresql(hub)
    worker.resume()
    assert [hub.finished(job_id, RECOVERY)["attempts"] for job_id in sent] == [1, 1, 1]
    assert "the database is away; the worker waits for it" in hub.process.log()


def states_of_runs(hub: HubAtWork) -> list[str]:
    runs = hub.http.get("/insight/runs?project=shop").json()["items"]
    return [run["state"] for run in runs]


def kill_postgresql(hub: HubAtWork) -> None:
    """Kill the server, and wait until it is dead; the supervisor starts it again."""
    server = hub.child_named("postgres")
    server.kill()
    psutil.wait_procs([server], timeout=300)


def test_row_48_paused_and_cancelled_in_the_middle_and_continued(hub: HubAtWork) -> None:
    job_id = hub.started(branch="main")
    for action, state, again in (("pause", "paused", "resume"), ("cancel", "cancelled", "retry")):
        told = time.monotonic()
        assert hub.act(job_id, action).json()["state"] == state
        while not hub.stream_is_free("main"):
            assert seconds_since(told) < STOPPED
        measured(f"row 48: {action} stopped the work within {seconds_since(told):.1f} s")
        assert hub.rows("main") == (0, 0)
        assert hub.job(job_id)["state"] == state
        expected = "queued" if action == "pause" else "failed"
        (run,) = hub.http.get("/insight/runs?project=shop").json()["items"]
        assert run["state"] == expected
        assert hub.act(job_id, again).json()["state"] == "waiting"
        if action == "pause":
            hub.wait(job_id, lambda job: job["state"] == "active" and job["progress"] >= 3)
    hub.finished(job_id)
    assert hub.rows("main") == (FINDINGS, FINDINGS)
