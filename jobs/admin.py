"""The operators' view of the hub's own jobs: shown, never changed here."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin import ReadOnlyAdmin
from jobs.models import Job, PeriodicRun
from jobs.registry import periodic_tasks


def label_of(job_type: str) -> str:
    """What operators call periodic work of that type."""
    return next((str(task.label) for task in periodic_tasks() if task.name == job_type), job_type)


@admin.register(Job)
class SystemJobAdmin(ReadOnlyAdmin):
    list_display = ("work", "state", "waiting_for", "waiting_since", "created_at", "finished_at")
    list_filter = ("state", "type")
    fields = (
        "work", "type", "state", "attempts", "losses", "waiting_for", "waiting_since", "error",
        "run_at", "started_at", "heartbeat_at", "finished_at",
    )  # fmt: skip

    def get_queryset(self, _request: HttpRequest) -> QuerySet[Job]:
        rows: QuerySet[Job] = Job.across_organizations.filter(organization=None)
        return rows.order_by("-created_at")

    @admin.display(description=_("Work"))
    def work(self, job: Job) -> str:
        return label_of(job.type)


@admin.register(PeriodicRun)
class PeriodicRunAdmin(ReadOnlyAdmin):
    list_display = ("work", "name", "due_at")

    @admin.display(description=_("Work"))
    def work(self, run: PeriodicRun) -> str:
        return label_of(run.name)
