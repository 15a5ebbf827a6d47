"""What the scheduler tidies up."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts.idempotency import run_once
from accounts.models import IdempotencyRecord
from jobs.registry import periodic_tasks
from odavl_hub.upkeep import IDEMPOTENCY_KEPT, forget_idempotency
from tests.cast import Person


def test_the_scheduler_forgets_what_is_older_than_a_day(alice: Person):
    for key in ("old", "new"):
        run_once(alice.principal, key, "d" * 64, lambda: (201, b"{}"))
    records = IdempotencyRecord.objects.for_organization(alice.organization)
    before = timezone.now() - IDEMPOTENCY_KEPT - timedelta(minutes=1)
    records.filter(key="old").update(created_at=before)
    forget_idempotency()
    assert [record.key for record in records.all()] == ["new"]
    tasks = {task.name: task for task in periodic_tasks()}
    assert tasks["accounts.forget_idempotency"].run is forget_idempotency
