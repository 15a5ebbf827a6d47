"""How many calls to a store may be under way at once in a process that has other things to do.

A store that takes connections and says nothing would hold every thread that asks it. So only a
share of the threads may, and who comes in vain waits no longer than it takes to see whether the
calls under way are answered: then the store is slow, and the thread has better things to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from odavl.wire.errors import ServiceUnavailable

PATIENCE = 1.0
"""Seconds after which a call counts as one that the store may never answer."""
_RETRY_SECONDS = 5.0


class Places:
    """``count`` of them; 0 for as many as anybody wants."""

    def __init__(self, count: int = 0) -> None:
        self._count = count
        self._changed = threading.Condition()
        self._begun: dict[object, float] = {}
        """When each call that is under way began, on the monotonic clock."""

    @contextmanager
    def taken(self) -> Iterator[None]:
        """One place, for one call.

        :class:`ServiceUnavailable` where all are taken by calls that last.
        """
        if not self._count:
            yield
            return
        call = object()
        with self._changed:
            while len(self._begun) >= self._count:
                self._wait()
            self._begun[call] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._begun[call]
                self._changed.notify()

    def _wait(self) -> None:
        left = max(self._begun.values()) + PATIENCE - time.monotonic()
        if left <= 0:
            raise ServiceUnavailable(
                "The object store takes long to answer.", retry_after=_RETRY_SECONDS
            )
        self._changed.wait(left)
