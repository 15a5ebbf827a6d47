"""Retention rules for rooms below that know no scheduler."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.sessions.models import Session

from accounts.idempotency import forget_records
from accounts.services.audit import forget_events
from jobs import retention

IDEMPOTENCY_KEPT = timedelta(hours=24)
"""How long after a POST its ``Idempotency-Key`` still gives the same answer, at least."""


def register_all() -> None:
    retention.register("accounts.idempotency", forget_records, keep=IDEMPOTENCY_KEPT)
    retention.register("accounts.audit", forget_events, keep="AUDIT_DAYS")
    retention.register("accounts.sessions", forget_sessions, keep=timedelta(hours=1))


def forget_sessions(*, older_than: datetime, at_most: int) -> int:
    """Drop sessions of browsers that have expired: Django itself leaves them lying; how many."""
    expired = Session.objects.filter(expire_date__lt=older_than).order_by("expire_date")
    keys = list(expired.values_list("pk", flat=True)[:at_most])
    return Session.objects.filter(pk__in=keys).delete()[0]
