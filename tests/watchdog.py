"""Ends what a test run started, whatever ended the run: nothing outlives it.

Everything that a run starts inherits its mark in the environment. This program reads from a pipe
whose other end only the run holds; once it breaks, all who bear the mark die. (Embedded servers
do not bear it; they die with the process that started them.)
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from contextlib import suppress

import psutil

MARK = "ODAVL_TEST_RUN"
_ROUNDS = 20
_LOOK_SECONDS = 1


def watch() -> subprocess.Popen[bytes]:
    """Start it for this process; it ends after us."""
    os.environ[MARK] = secrets.token_hex(16)
    return subprocess.Popen(
        [sys.executable, __file__, os.environ[MARK]],
        stdin=subprocess.PIPE,
        # Not marked itself, and not in reach of a Ctrl-C.
        env={name: value for name, value in os.environ.items() if name != MARK},
        start_new_session=True,
    )


def marked(mark: str) -> list[psutil.Process]:
    """Who lives and bears ``mark``."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def main(mark: str) -> None:
    sys.stdin.buffer.read()
    for _ in range(_ROUNDS):  # one that was just being started may be missed by a look
        left = marked(mark)
        if not left:
            return
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=_LOOK_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
