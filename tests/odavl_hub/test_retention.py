"""What is forgotten once it has been kept long enough."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session

from accounts.idempotency import run_once
from accounts.models import AuditEvent, IdempotencyRecord
from frame.database.clock import database_now
from jobs import retention
from odavl_hub.retention import IDEMPOTENCY_KEPT
from tests.cast import Person


def test_answers_for_an_idempotency_key_are_forgotten_after_a_day(alice: Person):
    for key in ("old", "new"):
        run_once(alice.principal, key, "d" * 64, lambda: (201, b"{}"), project=None)
    records = IdempotencyRecord.objects.for_organization(alice.organization)
    before = database_now() - IDEMPOTENCY_KEPT - timedelta(minutes=1)
    records.filter(key="old").update(created_at=before)
    assert retention.apply()["accounts.idempotency"] == 1
    assert [record.key for record in records.all()] == ["new"]


@pytest.mark.parametrize(("days", "left"), [(365, 1), (0, 2)])
def test_the_audit_log_goes_back_so_many_days(alice: Person, settings, days: int, left: int):
    settings.AUDIT_DAYS = days
    events = AuditEvent.objects.for_organization(alice.organization)
    events.all().delete()
    for age in (1, 366):
        events.create(organization=alice.organization, action="a.done")
        latest = events.latest("pk")
        events.filter(pk=latest.pk).update(created_at=database_now() - timedelta(days=age))
    retention.apply()
    assert events.count() == left


def test_sessions_that_have_expired_go(alice: Person):
    alice.page()
    session = Session.objects.get()
    retention.apply()
    assert Session.objects.exists()
    session.expire_date = database_now() - timedelta(hours=2)
    session.save()
    retention.apply()
    assert not Session.objects.exists()
