"""A job's time, kept beside its handler.

Celery can limit the time of a message, which may not know yet which job it will be spent on.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

GRACE_SECONDS = 10
"""Between asking a handler to stop and killing its process."""


@contextmanager
def deadline(after: timedelta) -> Iterator[None]:
    """Raise ``SoftTimeLimitExceeded`` in the block ``after`` so long, then kill the process.

    Only in a worker's process, which has a handler for the signal. A handler that hears nothing,
    such as a library that waits in C, takes its process with it, as if its worker had died.
    """
    own = threading.get_ident()
    if own != threading.main_thread().ident or signal.getsignal(signal.SIGUSR1) in _NO_HANDLER:
        yield
        return
    over = threading.Event()
    between = threading.Lock()

    def watch() -> None:
        if over.wait(after.total_seconds()):
            return
        with between:
            if not over.is_set():
                signal.pthread_kill(own, signal.SIGUSR1)
        if not over.wait(GRACE_SECONDS):
            os.kill(os.getpid(), signal.SIGKILL)

    thread = threading.Thread(target=watch, name="deadline", daemon=True)
    thread.start()
    try:
        yield
    finally:
        # Held, so that a signal that is on its way arrives here and not in what comes behind.
        with between:
            over.set()
        thread.join()


_NO_HANDLER = (signal.SIG_DFL, signal.SIG_IGN, None)
