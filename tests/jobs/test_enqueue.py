"""What a caller of enqueue may rely on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import current_app
from django.db import transaction
from django.utils import timezone

from accounts.models import Organization
from jobs import messages, services
from jobs.models import Job, Priority, State

pytestmark = pytest.mark.django_db


def test_a_job_takes_queue_and_timeout_from_its_type(organization, handler):
    job = services.enqueue(organization=organization, job_type="test.work", payload={"n": 1})

    job.refresh_from_db()
    assert (job.queue, job.timeout, job.state) == ("bulk", timedelta(seconds=30), State.WAITING)
    assert job.payload == {"n": 1}


def test_a_job_of_the_future_is_delayed(organization, handler):
    later = timezone.now() + timedelta(hours=1)

    job = services.enqueue(
        organization=organization, job_type="test.work", payload={}, run_at=later
    )

    assert (job.state, job.run_at, job.message_sent_at) == (State.DELAYED, later, None)


def test_the_same_key_gives_the_unfinished_job_back(organization, handler):
    arguments = {"organization": organization, "job_type": "test.work", "deduplication_key": "a"}

    first = services.enqueue(payload={"n": 1}, **arguments)
    second = services.enqueue(payload={"n": 2}, **arguments)

    assert second.id == first.id
    assert second.payload == {"n": 1}


def test_the_same_key_makes_a_new_job_once_the_first_has_finished(organization, handler):
    arguments = {"organization": organization, "job_type": "test.work", "deduplication_key": "a"}
    first = services.enqueue(payload={}, **arguments)
    services.cancel(first)

    assert services.enqueue(payload={}, **arguments).id != first.id


def test_the_same_key_of_two_organizations_is_two_jobs(organization, handler):
    other = Organization.objects.create(slug="other", name="Other")

    jobs = {
        services.enqueue(
            organization=owner, job_type="test.work", payload={}, deduplication_key="a"
        ).id
        for owner in (organization, other)
    }

    assert len(jobs) == 2


def test_the_message_leaves_after_the_commit(
    organization, handler, empty_queue, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        services.enqueue(
            organization=organization, job_type="test.work", payload={}, priority=Priority.HIGH
        )
        assert messages.waiting_messages("bulk") == 0

    assert messages.waiting_messages("bulk") == 1


@pytest.mark.django_db(transaction=True)
def test_a_dead_broker_does_not_keep_the_commit(organization, handler, dead_broker):
    with transaction.atomic():
        job = services.enqueue(organization=organization, job_type="test.work", payload={})

    job.refresh_from_db()
    assert (job.state, job.message_sent_at) == (State.WAITING, None)


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_job_never_was(organization, handler, empty_queue):
    def enqueue_and_fail() -> None:
        with transaction.atomic():
            services.enqueue(organization=organization, job_type="test.work", payload={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        enqueue_and_fail()

    assert not Job.objects.for_organization(organization).exists()
    assert messages.waiting_messages("bulk") == 0


def test_the_web_process_and_the_workers_mean_the_same_application():
    assert current_app.main == "odavl_hub"
