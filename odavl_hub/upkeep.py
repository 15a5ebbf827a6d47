"""What is tidied up from time to time, for rooms below that know no scheduler."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts.idempotency import forget_records

IDEMPOTENCY_KEPT = timedelta(hours=24)
"""How long after a POST its ``Idempotency-Key`` still gives the same answer, at least."""


def forget_idempotency() -> None:
    forget_records(older_than=timezone.now() - IDEMPOTENCY_KEPT)
