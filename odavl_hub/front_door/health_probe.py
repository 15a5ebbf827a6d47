"""Where others ask how the hub is, and what they are told when looking takes too long.

Whoever asks has threads of its own and few seconds: a hub whose threads are all at work, or whose
database takes connections and says nothing, is one that says so.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from odavl import __version__
from odavl.wire.health import Check, Health, Readiness

LIVENESS = "/healthz"
"""Answered by the event loop at once."""
THREADS = 2
SECONDS = 4.0
"""More than a look takes where everything answers; less than a load balancer waits."""


def _health() -> Health:
    late = _late()
    return Health(
        status="down",
        version=__version__,
        database=late,
        migrations=late,
        redis=late,
        storage=late,
        jobs=late,
    )


def _readiness() -> Readiness:
    return Readiness(ready=False, database=_late(), migrations=_late())


def _late() -> Check:
    return Check(status="down", detail="does not answer in time", duration_ms=SECONDS * 1000)


OVERDUE: dict[str, Callable[[], msgspec.Struct]] = {
    "/api/health": _health,
    "/readyz": _readiness,
}
