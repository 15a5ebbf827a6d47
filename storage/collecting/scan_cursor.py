"""Long walks in short rounds: where the last round stopped, and when the next walk is due."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from frame.database.clock import database_now
from storage.models import Walk

REST = timedelta(days=1)
"""Between the end of a walk and the beginning of the next."""
ROUND_SECONDS = 5.0
"""One job of the hub's own must not keep the others waiting."""


class Round:
    """One round of the walk of that name; of two at once, both do the same, which does no harm."""

    def __init__(self, name: str, *, seconds: float = ROUND_SECONDS) -> None:
        self._walk, _ = Walk.objects.get_or_create(name=name)
        self._ends_at = time.monotonic() + seconds

    @property
    def is_due(self) -> bool:
        """Whether a walk is under way, or the last one ended long enough ago."""
        ended = self._walk.finished_at
        return bool(self.cursor) or ended is None or ended <= database_now() - REST

    def is_over(self) -> bool:
        return time.monotonic() >= self._ends_at

    @property
    def cursor(self) -> str:
        return self._walk.cursor

    def go_on_at(self, cursor: str) -> None:
        """Note how far it has come."""
        self._save(cursor=cursor, begun_at=self._begun_at())

    def begin_anew(self) -> None:
        self._save(cursor="")

    def finish(self) -> None:
        self._save(cursor="", begun_at=self._begun_at(), finished_at=database_now())

    def _begun_at(self) -> datetime | None:
        return self._walk.begun_at if self.cursor else database_now()

    def _save(self, **values: str | datetime | None) -> None:
        for name, value in values.items():
            setattr(self._walk, name, value)
        Walk.objects.filter(name=self._walk.name).update(**values)
