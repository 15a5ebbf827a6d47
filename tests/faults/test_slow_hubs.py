"""Row 19 of what must go wrong without harm: a hub, or a line to it, that is slow but not dead."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.client.fixtures import Odavl, Result
from tests.client.small_hub import TOKEN, SmallHub
from tests.faults.hub_at_work import seconds_since

TIMEOUT = 2
"""Seconds for one step; four of them for all of an exchange."""
ATTEMPTS = 3
SLACK = 300
"""Seconds that starting commands and pausing between attempts may take beside them."""


@pytest.fixture
def sarif(project: Path) -> Path:
    path = project / "in.sarif"
    path.write_text(json.dumps(findings(1)))
    return path


def findings(count: int) -> object:
    """Whose messages no gzip makes smaller than half."""
    results = [{"message": {"text": os.urandom(200).hex()}} for _ in range(count)]
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "lint"}},
                                          "results": results}]}  # fmt: skip


def upload(odavl: Odavl, address: str, **environment: str) -> Result:
    return odavl(
        "insight", "import", "in.sarif", "--upload", "--project", "shop",
        ODAVL_CLOUD_API=address, ODAVL_API_KEY=TOKEN, ODAVL_TIMEOUT=str(TIMEOUT), **environment,
    )  # fmt: skip


def is_kept(odavl: Odavl, result: Result) -> None:
    """It was not told to be stored, and waits in the queue."""
    assert result.returncode == 3, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    assert "/runs/" not in result.stdout + result.stderr
    assert json.loads(odavl("sync", "queue", "--json").stdout)["total"] == 1


class Line:
    """Between client and hub; ``back`` and ``forth`` say in which pieces and how fast it carries.

    Each is ``(bytes, seconds)``: so many bytes, then so long a pause. None: as fast as it can.
    """

    def __init__(
        self,
        hub: SmallHub,
        *,
        forth: tuple[int, float] | None = None,
        back: tuple[int, float] | None = None,
        silence: float = 0,
    ) -> None:
        self._port = int(hub.address.rpartition(":")[2])
        self._forth, self._back, self._silence = forth, back, silence
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that what is not carried on is soon not taken either.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._closed.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as hub:
            answers = threading.Thread(
                target=self._pump, args=(hub, client, self._back, self._silence), daemon=True
            )
            answers.start()
            self._pump(client, hub, self._forth, 0)
            answers.join()

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        pace: tuple[int, float] | None,
        silence: float,
    ) -> None:
        size, pause = pace or (65536, 0)
        with suppress(OSError):
            while data := source.recv(size):
                self._closed.wait(silence)
                target.sendall(data)
                self._closed.wait(pause)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def line(small_hub: SmallHub) -> Iterator[Callable[..., Line]]:
    opened: list[Line] = []

    def opening(**how: object) -> Line:
        opened.append(Line(small_hub, **how))
        return opened[-1]

    yield opening
    for each in opened:
        each.close()


def test_row_19_an_answer_byte_by_byte_ends_in_time_and_is_not_believed(
    odavl: Odavl, sarif: Path, line: Callable[..., Line]
) -> None:
    # Each byte comes long before a step's time is over; only their sum is too much.
    slow = line(back=(1, TIMEOUT / 4))
    started = time.monotonic()
    is_kept(odavl, upload(odavl, slow.address))
    assert seconds_since(started) < ATTEMPTS * 4 * TIMEOUT + SLACK


def test_row_19_a_body_that_hardly_moves_is_given_up(
    odavl: Odavl, small_hub: SmallHub, line: Callable[..., Line]
) -> None:
    slow = line(back=(200, TIMEOUT / 2))
    small_hub.projects.extend({"id": str(n), "slug": "s", "name": "n" * 200} for n in range(200))
    small_hub.page_size = 200
    started = time.monotonic()
    listed = odavl("projects", ODAVL_CLOUD_API=slow.address, ODAVL_API_KEY=TOKEN,
                   ODAVL_TIMEOUT=str(TIMEOUT))  # fmt: skip
    assert listed.returncode == 3, listed.stderr
    assert "did not answer in time" in listed.stderr
    assert seconds_since(started) < ATTEMPTS * 4 * TIMEOUT + SLACK


def test_row_19_headers_that_come_late_are_waited_for(
    odavl: Odavl, sarif: Path, small_hub: SmallHub, line: Callable[..., Line]
) -> None:
    late = line(silence=TIMEOUT * 0.7)
    sent = upload(odavl, late.address)
    assert (sent.returncode, len(small_hub.runs)) == (0, 1), sent.stderr


def test_row_19_headers_that_come_too_late_are_not_believed_and_nothing_doubles(
    odavl: Odavl, sarif: Path, small_hub: SmallHub, line: Callable[..., Line]
) -> None:
    # The hub itself answered each time, so that it has the run, which nobody could tell.
    late = line(silence=TIMEOUT * 2.5)
    is_kept(odavl, upload(odavl, late.address))
    quick = line()
    sent = odavl("sync", "process-queue", "--json",
                 ODAVL_CLOUD_API=quick.address, ODAVL_API_KEY=TOKEN)  # fmt: skip
    assert len(small_hub.runs) <= 1, sent.stderr


def test_row_19_a_hub_that_hardly_reads_is_given_up(
    odavl: Odavl, project: Path, small_hub: SmallHub, line: Callable[..., Line]
) -> None:
    (project / "in.sarif").write_text(json.dumps(findings(4_000)))
    slow = line(forth=(512, TIMEOUT / 4))
    started = time.monotonic()
    is_kept(odavl, upload(odavl, slow.address))
    assert small_hub.runs == []
    assert seconds_since(started) < 2 * 60 + SLACK


def test_row_19_a_slow_line_that_moves_is_enough(
    odavl: Odavl, project: Path, small_hub: SmallHub, line: Callable[..., Line]
) -> None:
    (project / "in.sarif").write_text(json.dumps(findings(7_000)))
    slow = line(forth=(8192, 0.05), back=(64, 0.02))
    started = time.monotonic()
    sent = upload(odavl, slow.address)
    assert (sent.returncode, len(small_hub.runs)) == (0, 1), sent.stderr
    # Longer than all of an exchange without a body may take.
    assert seconds_since(started) > 4 * TIMEOUT
