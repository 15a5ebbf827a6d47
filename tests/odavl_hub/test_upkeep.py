"""What the scheduler tidies up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.idempotency import run_once
from accounts.models import AuditEvent, IdempotencyRecord
from jobs.registry import periodic_tasks
from odavl_hub.upkeep import IDEMPOTENCY_KEPT, forget_audit, forget_idempotency, forget_sessions
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


@pytest.mark.parametrize(("days", "left"), [(365, 1), (0, 2)])
def test_the_audit_log_goes_back_so_many_days(alice: Person, settings, days: int, left: int):
    settings.AUDIT_DAYS = days
    events = AuditEvent.objects.for_organization(alice.organization)
    events.all().delete()
    for age in (1, 366):
        events.create(organization=alice.organization, action="a.done")
        latest = events.latest("pk")
        events.filter(pk=latest.pk).update(created_at=timezone.now() - timedelta(days=age))
    forget_audit()
    assert events.count() == left


def test_sessions_that_have_expired_go(alice: Person):
    alice.page()
    session = Session.objects.get()
    forget_sessions()
    assert Session.objects.exists()
    session.expire_date = timezone.now() - timedelta(seconds=1)
    session.save()
    forget_sessions()
    assert not Session.objects.exists()
