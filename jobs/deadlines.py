"""A job's time, kept beside its handler.

Celery can limit the time of a message, which may not know yet which job it will be spent on.
"""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from typing import Self

GRACE_SECONDS = 10
"""Between asking a handler to stop and killing its process."""

_SIGNAL = signal.SIGUSR1
_TWICE = 2
_NO_HANDLER = (signal.SIG_DFL, signal.SIG_IGN, None)


class Deadline:
    """Raises ``SoftTimeLimitExceeded`` in a block that takes longer than ``after``.

    Then it kills the process: a handler that hears nothing, such as a library that waits in C,
    takes its process with it, as if its worker had died. Only in a worker's process, which has a
    handler for the signal.

    To be entered twice, ``with deadline, deadline:``, of which the second begins the watch. The
    signal comes once at most, and may come as the block is entered or left, where the inner exit
    has not begun; then the outer one ends the watch.
    """

    def __init__(self, after: timedelta) -> None:
        self._seconds = after.total_seconds()
        self._over = threading.Event()
        self._between = threading.Lock()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
        self._entered = 0

    def __enter__(self) -> Self:
        self._entered += 1
        is_main = self._watched == threading.main_thread().ident
        if self._entered == _TWICE and is_main and signal.getsignal(_SIGNAL) not in _NO_HANDLER:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        # A signal that is on its way arrives here at the latest, and not in what comes behind.
        with self._between:
            self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        if self._over.wait(self._seconds):
            return
        with self._between:
            if self._over.is_set():
                return
            signal.pthread_kill(self._watched, _SIGNAL)
        if not self._over.wait(GRACE_SECONDS):
            os.kill(os.getpid(), signal.SIGKILL)
