"""A store that does not answer is not asked by everybody again.

Each call waits for as long as its time-outs and tries allow: about a minute. Once one was in vain,
others are refused at once for some seconds; then a single one tries, and the rest waits for what
it finds. So an outage holds one thread, and not all of them again and again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from odavl.wire.errors import ServiceUnavailable
from storage.objects.places import Places

PAUSE = 5.0
"""Seconds for which a store that did not answer is left alone."""
_TRYING = 120.0
"""Seconds after which whoever tries is not waited for any more: longer than any call."""


class Outage:
    """What is known of a store; ``silence`` is how its library tells that there was no answer.

    ``at_once`` bounds how many calls are under way, 0 does not.
    """

    def __init__(self, *silence: type[Exception], at_once: int = 0) -> None:
        self._silence = silence
        self._places = Places(at_once)
        self._lock = threading.Lock()
        self._until: float | None = None
        """On the monotonic clock, during an outage: when somebody may ask again."""

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """For one call; :class:`ServiceUnavailable` at once during an outage."""
        with self._lock:
            self._refuse()
        with self._places.taken():
            self._come_in()
            until = None
            try:
                yield
            except ServiceUnavailable as error:
                if isinstance(error.__cause__, self._silence):
                    until = time.monotonic() + PAUSE
                raise
            finally:
                self._until = until

    def _come_in(self) -> None:
        with self._lock:
            self._refuse()
            if self._until is not None:
                self._until = time.monotonic() + _TRYING

    def _refuse(self) -> None:
        left = 0.0 if self._until is None else self._until - time.monotonic()
        if left > 0:
            raise ServiceUnavailable(
                "The object store does not answer.", retry_after=min(left, PAUSE)
            )
