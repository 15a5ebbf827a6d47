"""A worker's hold on a job: taken by a conditional UPDATE, kept by a heartbeat, fenced."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Q, QuerySet, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce, Greatest, Least, Now

from jobs import fairness
from jobs.models import Awaited, Job, State

LEASE = timedelta(seconds=30)
HEARTBEAT = timedelta(seconds=8)
FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=5)
LONGEST_WAIT_FOR_A_TURN = timedelta(seconds=15)
NOT_WAITING: dict[str, object] = {"waiting_for": "", "waiting_since": None}
_ANY = Q()


class LeaseLostError(Exception):
    """Somebody else has the job now, or it was paused or cancelled: write nothing more."""


@dataclass(slots=True)
class Claim:
    """One attempt at one job. ``fence`` is the number that no other attempt has."""

    job: Job
    fence: int
    finished: bool = field(default=False)
    completed: bool = field(default=False)
    lost: bool = field(default=False)
    """The thread beside the handler found that the job is not ours any more."""
    noted: int | None = field(default=None)
    """Percent that the thread is to show."""

    @property
    def payload(self) -> dict[str, object]:
        payload: dict[str, object] = self.job.payload
        return payload

    def heartbeat(self) -> bool:
        """Extend the lease and show what was noted; False when the lease is gone.

        Skips (True) while a guard holds the row.
        """
        shown = {} if self.noted is None else {"progress": self.noted}
        with transaction.atomic():
            row = self._held().select_for_update(skip_locked=True).values_list("id").first()
            if row is not None:
                self._held().update(heartbeat_at=Now(), lease_expires_at=lease_end(), **shown)
                return True
        return self.is_ours()

    def is_ours(self) -> bool:
        """Whether the row still says so: neither paused, cancelled nor given to another."""
        return self._held().exists()

    def note(self, percent: int) -> None:
        """Have ``percent`` (0 to 100) shown within a second or so, at no cost.

        For a handler in a transaction, whose own writes nobody sees before its commit; to be called
        often, because it raises :class:`LeaseLostError` once the job is known to be lost.
        """
        if self.lost:
            raise LeaseLostError(f"{self.job} was taken away from this worker.")
        self.noted = max(0, min(100, percent))

    def progress(self, percent: int) -> None:
        """Show ``percent`` (0 to 100). Raises :class:`LeaseLostError`."""
        bounded = max(0, min(100, percent))
        self._write(progress=bounded, heartbeat_at=Now(), lease_expires_at=lease_end())

    def guard(self) -> None:
        """Hold the job's row until the end of the handler's own transaction.

        To be called last in it: from here on nobody can take the job away before the commit, so
        a worker that slept past its lease either still has the job or writes nothing.
        Raises :class:`LeaseLostError`, and :class:`RuntimeError` outside of a transaction.
        """
        if not connection.in_atomic_block:
            raise RuntimeError("Claim.guard() protects a transaction, and there is none.")
        self._write(heartbeat_at=Now(), lease_expires_at=lease_end())

    def complete(self) -> None:
        """Note success: within the handler's transaction, its work is done exactly once."""
        self._write(
            state=State.COMPLETED,
            progress=100,
            error=None,
            finished_at=Now(),
            lease_expires_at=None,
            **NOT_WAITING,
        )
        self.finished = self.completed = True

    def fail(self, problem: dict[str, object], *, retry_after: timedelta | None) -> None:
        """Note a failed attempt: for good, or (``retry_after``) to be tried again then."""
        if retry_after is None:
            self._write(
                state=State.FAILED,
                error=problem,
                finished_at=Now(),
                lease_expires_at=None,
                **NOT_WAITING,
            )
        else:
            self._write(
                state=State.DELAYED,
                error=problem,
                run_at=Now() + _duration(retry_after),
                message_sent_at=None,
                lease_expires_at=None,
                **NOT_WAITING,
            )
        self.finished = True

    def postpone(self, awaited: Awaited, problem: dict[str, object]) -> None:
        """Have it tried again later, with this attempt not counted.

        It waits as long again as it has waited so far, within :data:`FIRST_WAIT` and
        :data:`LONGEST_WAIT`.
        """
        longest = LONGEST_WAIT_FOR_A_TURN if awaited == Awaited.TURN else LONGEST_WAIT
        waited = Now() - Coalesce(F("waiting_since"), Now())
        self._write(
            state=State.DELAYED,
            error=problem,
            attempts=F("attempts") - 1,
            waiting_for=awaited,
            waiting_since=Coalesce(F("waiting_since"), Now()),
            run_at=Now() + Least(Greatest(waited, _duration(FIRST_WAIT)), _duration(longest)),
            message_sent_at=None,
            lease_expires_at=None,
        )
        self.finished = True

    def _held(self) -> QuerySet[Job]:
        rows: QuerySet[Job] = Job.across_organizations.filter(
            id=self.job.id, fence=self.fence, state=State.ACTIVE
        )
        return rows

    def _write(self, **values: object) -> None:
        # The count tells whether the lease was still ours: the condition is part of the write.
        if not self._held().update(**values):
            raise LeaseLostError(f"{self.job} was taken away from this worker.")


def claim(job_id: uuid.UUID | str, wanted: Q = _ANY) -> Claim | None:
    """Take the job if it is ``wanted`` and there to be taken: waiting, or delayed and due.

    One whose lease has expired is first given back by the relay, which counts such losses; they are
    not attempts that failed, and have a bound of their own.

    Of many who try at once exactly one gets it; the others get None.
    """
    with transaction.atomic():
        return _taken(job_id, takeable() & wanted)


def claim_next(queue: str, wanted: Q = _ANY) -> Claim | None:
    """Take the job whose turn it is in ``queue``; None where nothing waits that is ``wanted``.

    The most urgent first; among those, organizations take turns (:mod:`jobs.fairness`), and an
    organization's own come in the order in which they may run.
    """
    for place in fairness.in_order(queue):
        waiting = Job.across_organizations.filter(
            wanted,
            _has_attempts(),
            queue=queue,
            state=State.WAITING,
            priority=place.priority,
            organization_id=place.organization_id,
            run_at__lte=Now(),
        )
        with transaction.atomic():
            # What others are about to take is left to them, and waited for by nobody.
            row = waiting.select_for_update(skip_locked=True).order_by("run_at", "created_at")
            job_id = row.values_list("id", flat=True).first()
            held = _taken(job_id, takeable()) if job_id else None
        if held is not None:
            with suppress(DatabaseError):  # not worth losing what was just taken
                fairness.record_turn(queue, place.organization_id)
            return held
    return None


def _taken(job_id: uuid.UUID | str, wanted: Q) -> Claim | None:
    """In the caller's transaction."""
    # One UPDATE whose WHERE is evaluated again under the row's lock; its count says who won.
    won = Job.across_organizations.filter(wanted, _has_attempts(), id=job_id).update(
        state=State.ACTIVE,
        fence=F("fence") + 1,
        attempts=F("attempts") + 1,
        started_at=Coalesce(F("started_at"), Now()),
        heartbeat_at=Now(),
        lease_expires_at=lease_end(),
    )
    if not won:
        return None
    job = Job.across_organizations.select_related("organization").get(id=job_id)
    return Claim(job=job, fence=job.fence)


def _has_attempts() -> Q:
    return Q(attempts__lte=F("max_retries") + F("losses"))


def takeable() -> Q:
    """Which jobs a worker may take now, by the database's clock."""
    return Q(state__in=[State.WAITING, State.DELAYED], run_at__lte=Now())


def expired() -> Q:
    """Active jobs whose worker has not been heard of for a lease."""
    return Q(state=State.ACTIVE, lease_expires_at__lt=Now())


def lease_end() -> ExpressionWrapper[CombinedExpression]:
    return ExpressionWrapper(
        Now() + _duration(LEASE),
        output_field=DateTimeField(),
    )


def _duration(length: timedelta) -> Value:
    return Value(length, output_field=DurationField())
