"""A test run that is killed leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from tests.hub_process import REPOSITORY
from tests.watchdog import MARK

pytestmark = [pytest.mark.end_to_end]
RUN = "tests/services/never_ending.py"
UNWANTED = {MARK, "DATABASE_URL", "REDIS_URL", "ODAVL_DATA"}


def family(pid: int) -> set[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return {*psutil.Process(pid).children(recursive=True)}
    return set()


def lines(processes: set[psutil.Process]) -> str:
    said = []
    for process in processes:
        with suppress(psutil.Error):
            said.append(" ".join(process.cmdline()))
    return "\n".join(said)


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_no_hub_and_no_server(workers: str, ending: signal.Signals) -> None:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in UNWANTED and not name.startswith(("PYTEST_", "COV_"))
    }
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-n", workers, "--timeout", "0", RUN],
        cwd=REPOSITORY,
        env=kept,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        seen: set[psutil.Process] = set()
        while lines(seen).count("unixsocket") < 2 or lines(seen).count("manage.py hub") < 6:
            assert run.poll() is None, "it was over before the kill"
            seen = family(run.pid)
    finally:
        run.send_signal(ending)
        run.wait()

    _, alive = psutil.wait_procs(seen, timeout=300)

    assert alive == []
