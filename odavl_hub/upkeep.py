"""What is tidied up from time to time, for rooms below that know no scheduler."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.idempotency import forget_records
from accounts.services.audit import forget_events

IDEMPOTENCY_KEPT = timedelta(hours=24)
"""How long after a POST its ``Idempotency-Key`` still gives the same answer, at least."""


def forget_idempotency() -> None:
    forget_records(older_than=timezone.now() - IDEMPOTENCY_KEPT)


def forget_audit() -> int:
    """Drop audit events that are older than ``AUDIT_DAYS``, unless that is 0; how many went."""
    if settings.AUDIT_DAYS == 0:
        return 0
    return forget_events(older_than=timezone.now() - timedelta(days=settings.AUDIT_DAYS))


def forget_sessions() -> None:
    """Drop sessions of browsers that have expired: Django itself leaves them lying."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
