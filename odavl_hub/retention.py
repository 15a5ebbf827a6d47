"""Retention rules for rooms below that know no scheduler."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.sessions.models import Session

from accounts.idempotency import delete_old_records
from accounts.services.audit import delete_old_events
from jobs import retention

IDEMPOTENCY_KEPT = timedelta(hours=24)
"""How long after a POST its ``Idempotency-Key`` still gives the same answer, at least."""


def register_all() -> None:
    retention.register("accounts.idempotency", delete_old_records, keep=IDEMPOTENCY_KEPT)
    retention.register("accounts.audit", delete_old_events, keep="AUDIT_DAYS")
    retention.register("accounts.sessions", delete_expired_sessions, keep=timedelta(hours=1))


def delete_expired_sessions(*, older_than: datetime, at_most: int) -> int:
    """Drop sessions of browsers that have expired: Django itself leaves them lying; how many."""
    expired = Session.objects.filter(expire_date__lt=older_than).order_by("expire_date")
    keys = list(expired.values_list("pk", flat=True)[:at_most])
    return Session.objects.filter(pk__in=keys).delete()[0]
