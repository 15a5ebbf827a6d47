"""Which runs are wanted: the same words in the pages' addresses and in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from autopilot.models import Cycle, Phase
from frame.paging import moment_of, one_of
from odavl.wire import limits

SORTS: dict[str, tuple[str, ...]] = {
    "-startedAt": ("-started_at", "-id"),
    "startedAt": ("started_at", "id"),
    "-findingsClosed": ("-findings_closed", "-id"),
    "-filesModified": ("-files_modified", "-id"),
}


@dataclass(frozen=True, slots=True)
class CycleFilter:
    """Empty means any. ``since`` is included, ``until`` is not."""

    phase: str = ""
    recipe: str = ""
    run_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    sort: str = "-startedAt"

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> CycleFilter:
        """Raises :class:`~odavl.wire.errors.MalformedRequest` that points at the parameter."""
        return cls(
            phase=one_of(query, "phase", Phase.values),
            recipe=_text(query, "recipe"),
            run_id=_text(query, "runId"),
            since=moment_of(query, "since"),
            until=moment_of(query, "until"),
            sort=one_of(query, "sort", SORTS) or "-startedAt",
        )

    def apply(self, cycles: QuerySet[Cycle]) -> QuerySet[Cycle]:
        condition = Q()
        if self.phase:
            condition &= Q(phase=self.phase)
        if self.recipe:
            condition &= Q(selected_recipe=self.recipe)
        if self.run_id:
            condition &= Q(run_id=self.run_id)
        if self.since:
            condition &= Q(started_at__gte=self.since)
        if self.until:
            condition &= Q(started_at__lt=self.until)
        return cycles.filter(condition)

    @property
    def is_narrowed(self) -> bool:
        return self != CycleFilter(sort=self.sort)


def _text(query: Mapping[str, str], name: str) -> str:
    return query.get(name, "").replace("\x00", "")[: limits.MAX_RULE_LENGTH]
