"""A job's time: asked to stop, then killed, and never after the work is done."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading, time
from datetime import timedelta
from jobs import deadlines
deadlines.GRACE_SECONDS = 1
class OutOfTime(Exception): pass
def stop(*_): raise OutOfTime
signal.signal(signal.SIGUSR1, stop)
{work}
"""
STOPPED = """
try:
    deadline = deadlines.Deadline(timedelta(seconds=0.2))
    with deadline, deadline:
        threading.Event().wait()
except OutOfTime:
    print("stopped")
threading.Event().wait(2)
print("lives")
"""
DEAF = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
deadline = deadlines.Deadline(timedelta(seconds=0.2))
with deadline, deadline:
    threading.Event().wait()
"""
JUST_IN_TIME = """
late = 0
for _ in range(300):
    try:
        deadline = deadlines.Deadline(timedelta(seconds=0.004))
        with deadline, deadline:
            end = time.monotonic() + 0.004
            while time.monotonic() < end: pass
    except OutOfTime:
        late += 1
threading.Event().wait(2)
print("lives")
"""


@pytest.mark.parametrize(
    ("work", "said", "code"),
    [(STOPPED, "stopped\nlives\n", 0), (DEAF, "", -9), (JUST_IN_TIME, "lives\n", 0)],
    ids=["is asked to stop", "hears nothing", "ends as its time does"],
)
def test_a_deadline(work: str, said: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{work}", work)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == (said, code), done.stderr
