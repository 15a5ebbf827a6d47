"""Which tests are wanted: the same words in the pages' addresses and in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from frame.paging import moment_of, one_of
from guardian.models import Environment, PageTest
from odavl.wire import limits

SORTS: dict[str, tuple[str, ...]] = {
    "-timestamp": ("-tested_at", "-id"),
    "timestamp": ("tested_at", "id"),
    "-failed": ("-failed", "-id"),
    "url": ("url", "id"),
}
OUTCOMES = ("passed", "failed")


@dataclass(frozen=True, slots=True)
class PageTestFilter:
    """Empty means any. ``since`` is included, ``until`` is not."""

    environment: str = ""
    outcome: str = ""
    """``failed`` where any check did, else ``passed``."""
    url: str = ""
    """The beginning of the page's address."""
    test_run_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    sort: str = "-timestamp"

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> PageTestFilter:
        """Raises :class:`~odavl.wire.errors.MalformedRequest` that points at the parameter."""
        return cls(
            environment=one_of(query, "environment", Environment.values),
            outcome=one_of(query, "outcome", OUTCOMES),
            url=_text(query, "url", limits.MAX_URL_LENGTH),
            test_run_id=_text(query, "testRunId", limits.MAX_RUN_ID_LENGTH),
            since=moment_of(query, "since"),
            until=moment_of(query, "until"),
            sort=one_of(query, "sort", SORTS) or "-timestamp",
        )

    def apply(self, tests: QuerySet[PageTest]) -> QuerySet[PageTest]:
        condition = Q()
        if self.environment:
            condition &= Q(environment=self.environment)
        if self.outcome:
            condition &= Q(failed=0) if self.outcome == "passed" else Q(failed__gt=0)
        if self.url:
            condition &= Q(url__startswith=self.url)
        if self.test_run_id:
            condition &= Q(test_run_id=self.test_run_id)
        if self.since:
            condition &= Q(tested_at__gte=self.since)
        if self.until:
            condition &= Q(tested_at__lt=self.until)
        return tests.filter(condition)

    @property
    def is_narrowed(self) -> bool:
        return self != PageTestFilter(sort=self.sort)


def _text(query: Mapping[str, str], name: str, most: int) -> str:
    return query.get(name, "").replace("\x00", "")[:most]
