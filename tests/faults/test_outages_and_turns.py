"""Rows 55, 58 and 59: what is away, what hangs, and who floods, seen at a whole real hub."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import psycopg2
import pytest

from tests.faults.hub_at_work import FINDINGS, HubAtWork, measured, payload, seconds_since
from tests.object_servers import SwiftServer, Unavailable
from tests.storage.stores_lost import Mount

pytestmark = pytest.mark.end_to_end
PATIENCE = 120.0
"""Seconds after which a test gives up waiting; nothing is judged by them."""
MORE_THAN_ATTEMPTS = 5
MAKE_OTHER = """
import django
django.setup()
from accounts.principal import principal_of_member
from accounts.services import create_api_key, create_owner
owner = create_owner(email="bob@example.com", password="correct horse battery",
                     organization_name="Other", name="Bob")
by = principal_of_member(owner.membership)
print(create_api_key(by=by, name="faults", scopes=sorted(by.scopes))[1])
"""


@pytest.fixture
def hub() -> Iterator[HubAtWork]:
    found = HubAtWork()
    yield found
    found.close()


class Line(socketserver.ThreadingTCPServer):
    """The way to a store at ``port``, which may go away and come back."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), LineHandler)
        self.port = port
        self.is_there = True
        self.under_way: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def go_away(self) -> None:
        self.is_there = False
        for each in list(self.under_way):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        self.is_there = True


class LineHandler(socketserver.BaseRequestHandler):
    server: Line

    def handle(self) -> None:
        if not self.server.is_there:
            return
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.port)) as there:
            ends = {self.request, there}
            self.server.under_way |= ends
            onward = threading.Thread(target=passed_on, args=(self.request, there), daemon=True)
            onward.start()
            passed_on(there, self.request)
            onward.join()
            self.server.under_way -= ends


def passed_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@dataclass
class HubWithStore:
    """A hub, and the way to the object store that it needs."""

    hub: HubAtWork
    store: Line


@pytest.fixture
def stored() -> Iterator[HubWithStore]:
    try:
        store = SwiftServer()
    except Unavailable as error:
        pytest.skip(str(error))
    with ExitStack() as ending:
        ending.callback(store.stop)
        line = Line(store.port)
        ending.callback(line.server_close)
        ending.callback(line.shutdown)
        hub = HubAtWork(**store.environment(line.url))
        ending.callback(hub.close)
        yield HubWithStore(hub, line)


def until(seen: Callable[[], Any], hub: HubAtWork) -> Any:
    """What ``seen`` gives, once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := seen()):
        assert time.monotonic() < deadline, hub.process.log()[-4000:]
        time.sleep(0.1)
    return found


def asked(hub: HubAtWork, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with hub.database() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def tries_to_end(hub: HubAtWork, job_id: str) -> object:
    """Have it not wait any longer; whether it has ended."""
    asked(
        hub,
        "UPDATE jobs_job SET run_at = now() WHERE id = %s AND state = 'delayed' AND run_at > now()",
        job_id,
    )
    return hub.job(job_id)["finishedAt"]


def tried_again(hub: HubAtWork, job_id: str) -> None:
    """What the next wait does; then until the job waits once more."""
    [(fence,)] = asked(
        hub,
        "UPDATE jobs_job SET run_at = now() WHERE id = %s AND state = 'delayed' RETURNING fence",
        job_id,
    )
    until(
        lambda: asked(
            hub,
            "SELECT 1 FROM jobs_job WHERE id = %s AND state = 'delayed' AND fence > %s + 1",
            job_id,
            fence,
        ),
        hub,
    )


def test_row_55_a_store_that_is_away_spends_no_attempt_and_runs_are_taken_in_after_it(
    stored: HubWithStore,
) -> None:
    hub = stored.hub
    with suspended(hub.bulk_workers()):
        job_id = hub.upload(payload(), branch="main").json()["jobId"]
        stored.store.go_away()
    job = hub.wait(job_id, lambda job: job.get("waitingFor"), PATIENCE)
    for _ in range(MORE_THAN_ATTEMPTS):
        tried_again(hub, job_id)
    # What an hour does.
    asked(
        hub,
        "UPDATE jobs_job SET waiting_since = waiting_since - interval '1 h' WHERE id = %s",
        job_id,
    )
    tried_again(hub, job_id)
    [(is_the_longest,)] = asked(
        hub,
        "SELECT run_at - heartbeat_at >= '5 min' AND run_at <= now() + interval '5 min'"
        " FROM jobs_job WHERE id = %s",
        job_id,
    )
    job = hub.job(job_id)
    assert (job["state"], job["attempts"], job["waitingFor"], is_the_longest) == (
        "delayed",
        0,
        "store",
        True,
    )
    health = httpx.get(f"{hub.process.url}/api/health", trust_env=False).json()
    assert health["status"] == "degraded"
    assert f"for the object store since {job['waitingSince'][:19]}" in health["jobs"]["detail"]

    stored.store.come_back()
    back = time.monotonic()
    # Who found it away leaves it alone for some seconds, so more than one try may be needed.
    until(lambda: tries_to_end(hub, job_id), hub)
    done = hub.finished(job_id, PATIENCE)
    measured(f"row 55: taken in {seconds_since(back):.1f} s after the wait was over")
    assert (done["attempts"], "waitingFor" in done) == (1, False)
    assert hub.rows("main") == (FINDINGS, FINDINGS)

    def is_healthy() -> bool:
        health = httpx.get(f"{hub.process.url}/api/health", trust_env=False).json()
        return (health["status"], health["jobs"]["status"]) == ("ok", "ok")

    until(is_healthy, hub)  # the hub's own jobs that waited are tried again, too


@pytest.mark.parametrize("leaves_folder", [True, False], ids=["empty", "gone"])
def test_row_55_a_disk_that_is_not_mounted_loses_nothing(
    hub: HubAtWork, leaves_folder: bool
) -> None:
    kept = hub.upload(payload(), branch="before").json()["jobId"]
    hub.finished(kept, PATIENCE)
    disk = Mount(hub.process.data / "objects", leaves_folder=leaves_folder)
    with suspended(hub.bulk_workers()):
        job_id = hub.upload(payload(tag="b"), branch="main").json()["jobId"]
        disk.lose()
    hub.wait(job_id, lambda job: job.get("waitingFor"), PATIENCE)
    for _ in range(MORE_THAN_ATTEMPTS):
        tried_again(hub, job_id)
    job = hub.job(job_id)
    assert (job["state"], job["attempts"], job["waitingFor"]) == ("delayed", 0, "store")
    refused = hub.upload(payload(tag="c"), branch="main")
    assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    periodic = ("storage.clean_up", "storage.sweep", "storage.verify", "uploads.clean_up")
    asked(hub, "UPDATE storage_walk SET cursor = '', finished_at = NULL")
    asked(hub, "UPDATE jobs_periodicrun SET due_at = now() WHERE name IN %s", periodic)
    until(lambda: not any(due(hub, name) for name in periodic), hub)
    until(lambda: not unfinished(hub, "storage.verify", "active", "waiting"), hub)
    assert asked(
        hub, "SELECT count(*) FROM storage_storedobject WHERE missing_since IS NOT NULL"
    ) == [(0,)]
    health = httpx.get(f"{hub.process.url}/api/health", trust_env=False).json()
    assert (health["status"], health["storage"]["status"]) == ("degraded", "down")
    assert "is it mounted" in health["storage"]["detail"]
    assert disk.written_meanwhile() == []

    disk.bring_back()
    asked(hub, "UPDATE jobs_job SET run_at = now() WHERE id = %s", job_id)
    assert hub.finished(job_id, PATIENCE)["attempts"] == 1
    assert hub.rows("main") == (FINDINGS, FINDINGS)
    assert hub.upload(payload(20, tag="c"), branch="main").status_code in {201, 202}


def test_row_55_a_database_that_is_away_again_and_again_spends_no_attempt(hub: HubAtWork) -> None:
    job_id = hub.started(branch="main")
    for _ in range(MORE_THAN_ATTEMPTS):
        server = hub.child_named("postgres")
        server.kill()
        psutil.wait_procs([server], timeout=300)
        hub.wait(job_id, lambda job: job["state"] == "active" and not job["finishedAt"], PATIENCE)
    done = hub.finished(job_id, PATIENCE)
    assert done["attempts"] == 1
    assert hub.rows("main") == (FINDINGS, FINDINGS)


@contextmanager
def a_periodic_task_hangs(hub: HubAtWork) -> Iterator[None]:
    """It waits for a lock that somebody holds, until the block ends."""
    connection = psycopg2.connect(hub.database_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE storage_walk IN ACCESS EXCLUSIVE MODE")
            asked(hub, "UPDATE jobs_periodicrun SET due_at = now() WHERE name = 'storage.sweep'")
            until(lambda: unfinished(hub, "storage.sweep", "active"), hub)
            yield
    finally:
        connection.close()


def unfinished(hub: HubAtWork, job_type: str, *states: str) -> list[tuple[Any, ...]]:
    return asked(
        hub, "SELECT id FROM jobs_job WHERE type = %s AND state IN %s", job_type, tuple(states)
    )


def recovers_a_lost_job(hub: HubAtWork, branch: str) -> None:
    job_id = hub.started(branch=branch)
    for process in hub.bulk_workers():
        process.kill()
    hub.expire_leases()
    assert hub.finished(job_id, PATIENCE)["attempts"] == 2
    assert hub.rows(branch) == (FINDINGS, FINDINGS)


def test_row_58_a_periodic_task_that_hangs_delays_no_recovery(hub: HubAtWork) -> None:
    with a_periodic_task_hangs(hub):
        hung = time.monotonic()
        recovers_a_lost_job(hub, "main")
        # It has not ended by itself: what was recovered was so beside it.
        assert unfinished(hub, "storage.sweep", "active", "waiting", "delayed")
        measured(f"row 58: recovered beside a task that had hung for {seconds_since(hung):.1f} s")
        # And however often its time comes, there is no second one.
        for _ in range(3):
            asked(hub, "UPDATE jobs_periodicrun SET due_at = now() WHERE name = 'storage.sweep'")
            until(lambda: not due(hub, "storage.sweep"), hub)
        assert len(unfinished(hub, "storage.sweep", "active", "waiting", "delayed")) == 1
    until(lambda: unfinished(hub, "storage.sweep", "completed"), hub)


def due(hub: HubAtWork, name: str) -> list[tuple[Any, ...]]:
    return asked(hub, "SELECT 1 FROM jobs_periodicrun WHERE name = %s AND due_at <= now()", name)


def test_row_58_a_store_that_is_away_during_clean_up_delays_no_recovery(
    stored: HubWithStore,
) -> None:
    hub = stored.hub
    job_id = hub.started(branch="main")
    stored.store.go_away()
    asked(hub, "UPDATE jobs_periodicrun SET due_at = now()")
    for process in hub.bulk_workers():
        process.kill()
    hub.expire_leases()
    # Taken back beside whatever waits for the store; what it needs of that, it waits for, too.
    hub.wait(job_id, lambda job: job["attempts"] == 2 or job.get("waitingFor"), PATIENCE)
    stored.store.come_back()
    hub.finished(job_id, PATIENCE)
    assert hub.rows("main") == (FINDINGS, FINDINGS)
    assert asked(hub, "SELECT type FROM jobs_job WHERE state = 'failed'") == []


@contextmanager
def suspended(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        process.suspend()
    yield
    for process in processes:
        process.resume()


def test_row_59_behind_one_organizations_flood_the_others_job_is_among_the_first_two(
    hub: HubAtWork,
) -> None:
    made = hub.inside(MAKE_OTHER)
    assert made.returncode == 0, made.stderr.decode()
    other = httpx.Client(
        base_url=hub.http.base_url,
        headers={"Authorization": f"Bearer {made.stdout.decode().strip()}"},
        timeout=30,
        trust_env=False,
    )
    with other, suspended(hub.bulk_workers()):
        flood = [
            hub.upload(payload(20, tag=f"f{number}"), branch=f"b{number}").json()["jobId"]
            for number in range(8)
        ]
        mine, hub.http = hub.http, other
        late = hub.upload(payload(20, tag="late"), branch="main").json()["jobId"]
        hub.http = mine
    for job_id in flood:
        hub.finished(job_id, PATIENCE)
    order = [
        str(job_id)
        for (job_id,) in asked(
            hub, "SELECT id FROM jobs_job WHERE type = 'insight.ingest' ORDER BY started_at"
        )
    ]
    assert sorted(order) == sorted([*flood, late])
    assert order.index(late) < 2, order
