"""One message for one job, however often it is asked for; other refusals are no duplicates."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs import messages, services
from jobs.models import Job, State
from odavl.wire.errors import Conflict

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("key", [None, "a"], ids=["without a key", "with a key"])
def test_a_new_job_sends_its_message(
    organization, handler, empty_queue, django_capture_on_commit_callbacks, key: str | None
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        services.enqueue(
            organization=organization, job_type="test.work", payload={}, deduplication_key=key
        )

    assert messages.waiting_messages("bulk") == 1


def test_one_that_is_there_sends_none(
    organization, handler, empty_queue, django_capture_on_commit_callbacks
) -> None:
    arguments = {"organization": organization, "job_type": "test.work", "deduplication_key": "a"}
    first = services.enqueue(payload={}, run_at=timezone.now() + timedelta(hours=1), **arguments)

    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        again = services.enqueue(payload={}, **arguments)

    assert (again.id, callbacks) == (first.id, [])
    assert messages.waiting_messages("bulk") == 0


def test_a_second_of_the_same_cannot_be_taken_up_again(organization, handler) -> None:
    arguments = {"organization": organization, "job_type": "test.work", "deduplication_key": "a"}
    first = services.enqueue(payload={}, **arguments)
    services.cancel(first)
    services.enqueue(payload={}, **arguments)

    with pytest.raises(Conflict, match="under way already"):
        services.retry(first)


def test_what_the_database_refuses_for_another_reason_is_told_as_it_is(job) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        services._change(job, (State.WAITING,), priority=None)

    assert Job.across_organizations.get(pk=job.pk).state == State.WAITING
