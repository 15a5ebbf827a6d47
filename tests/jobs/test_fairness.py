"""Whose job is next: most urgent first, then organizations in turn, each in its own order."""

from __future__ import annotations

import threading
from collections import Counter, deque

import pytest
from celery import current_app
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import Organization
from jobs import execution, fairness, registry, relay, services
from jobs.claims import Claim, claim_next
from jobs.models import Job, Priority, State

pytestmark = pytest.mark.django_db


def organizations(count: int) -> list[Organization]:
    return [
        Organization.objects.create(slug=f"org-{number}", name=f"Org {number}")
        for number in range(count)
    ]


def enqueue(organization: Organization, priority: Priority = Priority.NORMAL) -> Job:
    return services.enqueue(
        organization=organization, job_type="test.work", payload={}, priority=priority
    )


def test_one_behind_a_flood_is_next_though_one_worker_serves_all(handler):
    flooding, other = organizations(2)
    for _ in range(50):
        enqueue(flooding)
    first = claim_next("bulk")
    late = enqueue(other)
    first.complete()

    assert claim_next("bulk").job == late


def test_who_has_the_fewest_running_comes_first(handler):
    alice, bob = organizations(2)
    for _ in range(3):
        enqueue(alice)
    assert [claim_next("bulk").job.organization for _ in range(2)] == [alice, alice]
    for _ in range(3):
        enqueue(bob)
    taken = [claim_next("bulk").job.organization for _ in range(4)]
    assert taken[:2] == [bob, bob]
    assert Counter(taken) == {bob: 3, alice: 1}


def test_the_most_urgent_comes_first_whoever_it_belongs_to(handler):
    alice, bob = organizations(2)
    enqueue(bob)
    urgent = [enqueue(alice, Priority.CRITICAL) for _ in range(3)]
    high = enqueue(bob, Priority.HIGH)

    assert [claim_next("bulk").job for _ in range(4)] == [*urgent, high]


def test_an_organizations_own_jobs_keep_their_order(handler):
    (alice,) = organizations(1)
    jobs = [enqueue(alice) for _ in range(5)]
    assert [claim_next("bulk").job for _ in range(5)] == jobs
    assert claim_next("bulk") is None


def test_queues_do_not_mix(handler):
    (alice,) = organizations(1)
    enqueue(alice)
    assert claim_next("default") is None


def test_what_cannot_be_done_here_keeps_nobody_waiting(handler):
    """A job of a type that only a newer version knows, and one without an attempt left."""
    alice, bob = organizations(2)
    unknown, spent, good, other = (enqueue(each) for each in (alice, alice, alice, bob))
    Job.across_organizations.filter(id=unknown.id).update(type="test.newer")
    Job.across_organizations.filter(id=spent.id).update(attempts=9)

    known = Q(type="test.work")
    assert {claim_next("bulk", known).job, claim_next("bulk", known).job} == {good, other}
    assert claim_next("bulk", known) is None


def test_a_message_is_good_for_any_job_of_its_queue(handler):
    flooding, other = organizations(2)
    many = [enqueue(flooding) for _ in range(3)]
    late = enqueue(other)
    for job in many:  # three messages of one organization
        execution.run_next("bulk", job.id)

    done = [held.job for held in handler.claims]
    assert late in done[:2]
    assert len(done) == len(set(done)) == 3
    assert execution.run_next("bulk", late.id)
    assert not execution.run_next("bulk", late.id)


def test_after_an_outage_of_the_broker_the_most_urgent_is_sent_and_done_first(handler, empty_queue):
    """More wait than the relay sends at once, and the most urgent came last."""
    alice, bob = organizations(2)
    now = Now()
    Job.across_organizations.bulk_create(
        Job(
            organization=alice,
            type="test.work",
            queue="bulk",
            timeout=services.DEFAULT_TIMEOUT,
            priority=Priority.LOW,
            run_at=now,
        )
        for _ in range(relay._BATCH)
    )
    high, critical = enqueue(bob, Priority.HIGH), enqueue(alice, Priority.CRITICAL)
    Job.across_organizations.update(message_sent_at=None)

    assert relay.send_unsent("bulk") == relay._BATCH
    sent = Job.across_organizations.filter(message_sent_at__isnull=False)
    assert {high, critical} <= set(sent)
    with (
        current_app.connection_for_read() as connection,
        connection.SimpleQueue("bulk") as queue,
    ):
        for _ in range(2):
            message = queue.get(timeout=60)
            message.ack()
            execution.run_next("bulk", message.payload[0][0])
    assert [held.job for held in handler.claims] == [critical, high]


def test_a_system_job_is_taken_by_its_own_message(db):
    done: list[Claim] = []
    registry.register("test.own", done.append, queue="system", area="")
    try:
        job = services.enqueue(organization=None, job_type="test.own", payload={})
        assert execution.run_next("system", job.id)
    finally:
        registry.unregister("test.own")
    assert [held.job for held in done] == [job]


def test_the_look_for_the_next_turn_does_not_read_the_queue(handler):
    """Each organization is one probe of an index, however many of its jobs wait."""
    few = organizations(4)
    now = Now()
    Job.across_organizations.bulk_create(
        Job(
            organization=few[number % 4],
            type="test.work",
            queue="bulk",
            timeout=services.DEFAULT_TIMEOUT,
            run_at=now,
        )
        for number in range(20_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")
        cursor.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {fairness._IN_ORDER}", {"queue": "bulk"}
        )
        plan = cursor.fetchone()[0][0]["Plan"]
    assert plan["Actual Rows"] == 4
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 200


@pytest.mark.django_db(transaction=True)
def test_workers_that_ask_at_once_never_get_the_same_job_and_leave_none(handler):
    for organization in organizations(3):
        for _ in range(8):
            enqueue(organization)
    taken: deque[Job] = deque()

    def work() -> None:
        while (held := claim_next("bulk")) is not None:
            taken.append(held.job)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(taken) == len(set(taken)) == 24


class TurnsProperty(TestCase):
    """Whatever is enqueued and finished, and when."""

    @settings(max_examples=30, deadline=None)
    @given(
        workers=st.integers(1, 4),
        steps=st.lists(
            st.one_of(
                st.tuples(st.just("enqueue"), st.integers(0, 4), st.integers(1, 6)),
                st.tuples(st.just("work"), st.integers(0, 3), st.just(0)),
            ),
            max_size=40,
        ),
    )
    def test_a_waiting_organization_gets_its_turn_within_as_many_claims_as_there_are(
        self, workers: int, steps: list[tuple[str, int, int]]
    ) -> None:
        everybody = organizations(5)
        running_now: dict[int, Claim] = {}
        waited: Counter[Organization] = Counter()
        for step, which, count in steps:
            if step == "enqueue":
                for _ in range(count):
                    enqueue(everybody[which])
                continue
            number = which % workers
            if (finished := running_now.pop(number, None)) is not None:
                finished.complete()
            held = claim_next(registry.Queue.DEFAULT)
            if held is None:
                continue
            running_now[number] = held
            at_work = {each.job.organization for each in running_now.values()}
            waiting = Job.across_organizations.filter(state=State.WAITING)
            passed_over = {each.organization for each in waiting.select_related("organization")}
            for organization in everybody:
                if organization in passed_over and organization not in at_work:
                    waited[organization] += 1
                else:
                    waited[organization] = 0
            assert max(waited.values()) < len(everybody), waited
