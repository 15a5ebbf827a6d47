"""Retention: what is over goes, in small steps, and no rule keeps another waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from django.db.models.functions import Now

from frame.database.clock import database_now
from jobs import retention, services
from jobs.models import UNFINISHED, Job, State
from odavl.wire.errors import ServiceUnavailable

pytestmark = pytest.mark.django_db


class Rows:
    """So many rows that are over; notes what it is asked."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[datetime] = []

    def remove(self, *, older_than: datetime, at_most: int) -> int:
        self.asked.append(older_than)
        gone = min(self.count, at_most)
        self.count -= gone
        return gone


@pytest.fixture
def register() -> Iterator[Callable[..., None]]:
    names: list[str] = []

    def registered(name: str, remove: retention.Remove, keep: timedelta | str) -> None:
        retention.register(name, remove, keep=keep)
        names.append(name)

    yield registered
    for name in names:
        retention.unregister(name)


def test_all_that_is_over_goes_in_steps_and_the_rules_take_turns(register):
    many, few = Rows(45), Rows(5)
    register("test.many", many.remove, timedelta(days=1))
    register("test.few", few.remove, timedelta(days=1))

    removed = retention.apply(step=10)

    assert (removed["test.many"], removed["test.few"], many.count, few.count) == (45, 5, 0, 0)
    assert (len(many.asked), len(few.asked)) == (5, 1)


def test_a_round_ends_in_time_and_the_next_goes_on(register):
    endless = Rows(10**9)
    register("test.endless", endless.remove, timedelta(days=1))
    assert retention.apply(seconds=0.2, step=1)["test.endless"] > 0
    assert endless.count > 0


def test_a_rule_that_fails_keeps_no_other_waiting_and_is_told(register, handler, organization):
    def away(*, older_than: datetime, at_most: int) -> int:
        raise ServiceUnavailable("The object store does not answer.")

    behind = Rows(3)
    register("test.away", away, timedelta(days=1))
    register("test.behind", behind.remove, timedelta(days=1))
    with pytest.raises(ServiceUnavailable):
        retention.apply()
    assert behind.count == 0


def test_a_setting_says_how_many_days_and_0_is_for_ever(register, settings):
    rows = Rows(1)
    register("test.days", rows.remove, "JOB_DAYS")
    settings.JOB_DAYS = 0
    retention.apply()
    assert rows.asked == []
    settings.JOB_DAYS = 3
    retention.apply()
    (limit,) = rows.asked
    assert abs(database_now() - timedelta(days=3) - limit) < timedelta(minutes=1)


def test_there_is_one_rule_of_a_name(register):
    register("test.once", Rows(0).remove, timedelta(days=1))
    with pytest.raises(ValueError, match=r"test\.once"):
        retention.register("test.once", Rows(0).remove, keep=timedelta(days=1))


def over(organization, *, state: State, ago: timedelta) -> Job:
    job = services.enqueue(organization=organization, job_type="test.work", payload={})
    Job.across_organizations.filter(id=job.id).update(state=state, finished_at=Now() - ago)
    return job


def test_finished_jobs_go_after_a_week_and_the_hubs_own_successes_after_an_hour(
    organization, handler
):
    kept = [over(organization, state=state, ago=timedelta(days=8)) for state in UNFINISHED]
    for state in (State.COMPLETED, State.FAILED, State.CANCELLED):
        over(organization, state=state, ago=timedelta(days=8))
        kept.append(over(organization, state=state, ago=timedelta(days=6)))
    over(None, state=State.COMPLETED, ago=timedelta(hours=2))
    over(None, state=State.FAILED, ago=timedelta(days=8))
    kept.append(over(None, state=State.COMPLETED, ago=timedelta(minutes=50)))
    kept.append(over(None, state=State.FAILED, ago=timedelta(days=6)))

    removed = retention.apply()

    assert set(Job.across_organizations.all()) == set(kept)
    assert (removed["jobs.finished"], removed["jobs.system"]) == (4, 1)
