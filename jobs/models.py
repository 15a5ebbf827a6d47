"""A job: work that outlives the request, the worker and the messenger.

The row is the truth. A message in Redis only says "look at this row"; losing one delays the job
by seconds, receiving it twice does nothing.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization, Project
from accounts.scoping import OrganizationScoped


class State(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    ACTIVE = "active", _("Active")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    DELAYED = "delayed", _("Delayed")
    PAUSED = "paused", _("Paused")
    CANCELLED = "cancelled", _("Cancelled")


class Priority(models.IntegerChoices):
    LOW = 1, _("Low")
    NORMAL = 5, _("Normal")
    HIGH = 10, _("High")
    CRITICAL = 20, _("Critical")


class Queue(models.TextChoices):
    """Apart, so that a flood of bulk work never keeps a person waiting."""

    INTERACTIVE = "interactive", _("Interactive")
    DEFAULT = "default", _("Default")
    BULK = "bulk", _("Bulk")
    SYSTEM = "system", _("System")
    """The hub's own: what belongs to no organization."""


class Awaited(models.TextChoices):
    """What a job may wait for through no fault of its own, for as long as that takes."""

    STORE = "store", _("the object store")
    ROOM = "room", _("free disk space")
    DATABASE = "database", _("the database")
    TURN = "turn", _("another job of the same kind")


UNFINISHED = (State.WAITING, State.ACTIVE, State.DELAYED, State.PAUSED)
FINISHED = (State.COMPLETED, State.FAILED, State.CANCELLED)


class Job(OrganizationScoped):
    """``organization`` is NULL for the hub's own jobs, which no organization sees or changes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="jobs", null=True
    )
    # No index: it only narrows what the organization's index has found.
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", null=True, db_index=False
    )
    type = models.CharField(max_length=64)
    queue = models.CharField(max_length=16, choices=Queue, default=Queue.DEFAULT)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.NORMAL)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    payload = models.JSONField(default=dict, blank=True)
    progress = models.SmallIntegerField(default=0)
    attempts = models.SmallIntegerField(default=0)
    losses = models.SmallIntegerField(default=0, db_default=0)
    """How many of the attempts ended because their worker was not heard of any more."""
    max_retries = models.SmallIntegerField(default=3)
    timeout = models.DurationField()
    deduplication_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - NULLs never clash in the unique index
    run_at = models.DateTimeField(db_default=Now())
    """Not before this moment."""
    message_sent_at = models.DateTimeField(null=True, blank=True)
    """When the last message about it went to the broker."""
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    fence = models.IntegerField(default=0)
    """Grows with every change of hands; whoever holds an older number may write nothing."""
    error = models.JSONField(null=True, blank=True)
    """The problem document (RFC 9457) of the last failed attempt."""
    waiting_for = models.CharField(max_length=16, choices=Awaited, blank=True, db_default="")
    waiting_since = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(OrganizationScoped.Meta):
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "type", "deduplication_key"],
                condition=models.Q(state__in=["waiting", "active", "delayed", "paused"]),
                name="job_unfinished_unique",
            ),
            # NULL is equal to nothing, so the one above lets any number of system jobs through.
            models.UniqueConstraint(
                fields=["type", "deduplication_key"],
                condition=models.Q(
                    organization=None, state__in=["waiting", "active", "delayed", "paused"]
                ),
                name="job_system_unfinished_unique",
            ),
            models.CheckConstraint(
                condition=models.Q(progress__range=(0, 100)), name="job_progress_percent"
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="job_by_time"),
            # What the relay looks at every few seconds: only the unfinished are in it.
            models.Index(
                fields=["state", "run_at"],
                condition=models.Q(state__in=["waiting", "active", "delayed"]),
                name="job_relay",
            ),
            # Who waits in a queue, by priority and organization: what turns are taken by.
            models.Index(
                fields=["queue", "priority", "organization", "run_at"],
                condition=models.Q(state="waiting"),
                name="job_turns",
            ),
            models.Index(
                fields=["finished_at"],
                condition=models.Q(state__in=["completed", "failed", "cancelled"]),
                name="job_finished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"

    @property
    def is_held_up(self) -> bool:
        """Whether it waits for what :attr:`waiting_for` names; a version before leaves that."""
        return bool(self.waiting_for) and self.state in UNFINISHED

    @property
    def owner(self) -> Organization:
        """The organization of a job that has one; :class:`LookupError` for one of the hub's own."""
        if self.organization is None:
            raise LookupError(f"{self} belongs to no organization.")
        return self.organization


class Turn(OrganizationScoped):
    """When an organization was last served in a queue."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    queue = models.CharField(max_length=16, choices=Queue)
    served_at = models.DateTimeField()

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(fields=["organization", "queue"], name="turn_unique")
        ]

    def __str__(self) -> str:
        return f"{self.queue} {self.organization_id}"


class PeriodicRun(models.Model):
    """When a periodic task is due next; the row is what two relays compete for."""

    name = models.CharField(max_length=64, primary_key=True)
    due_at = models.DateTimeField()

    objects: ClassVar[models.Manager[PeriodicRun]] = models.Manager()

    def __str__(self) -> str:
        return self.name
