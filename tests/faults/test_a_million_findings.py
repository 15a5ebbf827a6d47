"""Row 36 of what must go wrong without harm: more findings than anything holds at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.client.fixtures import command_environment
from tests.faults.hub_at_work import HubAtWork, measured, seconds_since
from tests.faults.transfers.conftest import SENDER

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1500)]
FINDINGS = int(os.environ.get("ODAVL_TEST_FINDINGS", "100000"))
"""`make faults` sets a million; a tenth of that shows the same in seconds."""
PER_FILE = 250
PADDING = " and is never read" * max(1, 56 - FINDINGS // 18_000)
"""Makes a document that is too large to be resident of the smaller number, too."""
MEBIBYTE = 1024 * 1024
LARGEST_WORKER = 300
LARGEST_CLIENT = 100


@pytest.fixture
def hub() -> Iterator[HubAtWork]:
    found = HubAtWork()
    yield found
    found.close()


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """Findings that are all told apart, written as they are made up."""
    path = tmp_path / "findings.json"
    with path.open("w") as file:
        file.write('{"version":1,"scope":{"detectors":[{"name":"ruff","status":"ran"}]}')
        separator = ',"diagnostics":{'
        for number in range(0, FINDINGS, PER_FILE):
            found = ",".join(
                f'{{"severity":"medium","message":"`name{n}` imported{PADDING}","line":{n + 1},'
                f'"source":"ruff","code":"F401","snippet":"import name{n}"}}'
                for n in range(number, number + PER_FILE)
            )
            file.write(f'{separator}"src/package/module{number}.py":[{found}]')
            separator = ","
        file.write("}}")
    return path


class Peaks:
    """The largest that the processes of a pool were, each by itself, in MiB."""

    def __init__(self, pool: list[psutil.Process]) -> None:
        self._pool = pool
        self._done = threading.Event()
        self._largest = 0
        self._looking = threading.Thread(target=self._look)
        self._looking.start()

    def end(self) -> int:
        self._done.set()
        self._looking.join()
        return self._largest // MEBIBYTE

    def _look(self) -> None:
        while not self._done.wait(0.05):
            for process in self._pool:
                # One that ends is the test's to notice: the job would begin anew.
                with suppress(psutil.NoSuchProcess):
                    self._largest = max(self._largest, process.memory_info().rss)


def test_row_36_a_million_findings_are_taken_in_and_no_worker_grows(
    hub: HubAtWork, document: Path, tmp_path: Path
) -> None:
    peaks = Peaks(hub.bulk_workers())
    started = time.monotonic()
    environment = command_environment(
        tmp_path / "home", ODAVL_CLOUD_API=hub.process.url, ODAVL_API_KEY=hub.key
    )
    sent = subprocess.run(
        [sys.executable, str(SENDER), str(document), ""],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(sent.stdout.splitlines()[-1])
    assert told["success"], (told["error"], sent.stderr, hub.process.log()[-3000:])
    run = f"/insight/runs/{told['runId']}"
    while (found := hub.http.get(run).json())["state"] != "completed":
        assert found["state"] in {"waiting", "queued", "processing", "received"}, found
    took = seconds_since(started)
    largest = peaks.end()
    measured(
        f"{FINDINGS:,} findings ({document.stat().st_size // MEBIBYTE} MiB) in {took:.0f} s; "
        f"worker {largest} MiB, client {told['peakMebibytes']} MiB"
    )
    assert found["counts"]["total"] == FINDINGS
    assert hub.rows("main") == (FINDINGS, FINDINGS)
    assert largest < LARGEST_WORKER
    assert told["peakMebibytes"] <= LARGEST_CLIENT
