"""A room that is none of the hub's: it adds one of everything, and touches no other room.

Its product takes reports of the weather. Small ones are read at once, large ones by a job.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpResponse
from django.template import engines
from django.urls import path

from accounts import admission, exports, mail, navigation
from accounts.models import Project
from accounts.page_access import OrganizationRequest, member_page
from frame import events
from jobs import registry as jobs
from jobs import retention
from jobs.claims import Claim
from jobs.failure_hooks import JobGivenUp
from jobs.models import Job, Priority
from odavl.wire import limits
from odavl.wire.envelope import UploadAccepted, UploadStored
from odavl.wire.errors import QuotaExceeded
from odavl_hub.urls import handler400, handler403, handler404, handler500
from odavl_hub.urls import urlpatterns as urls_of_the_hub
from uploads import closings, registry
from uploads.contents import Content
from uploads.deferred import defer, job_type_for
from uploads.documents import read_whole
from uploads.models import Upload

__all__ = ["handler400", "handler403", "handler404", "handler500", "registered", "urlpatterns"]

REPORT_JOB = "weather.report"
FORECAST_JOB = "weather.forecast"
ORDER_OF_MENU = 35
MOST_BYTES = 4 * limits.MEBIBYTE


class WeatherReport(msgspec.Struct, rename="camel"):
    degrees: float
    remark: str = ""


# ── A payload type, with its job ──


def receive(upload: Upload, content: Content) -> UploadStored | UploadAccepted:
    if content.size > limits.MAX_INLINE_INFLATED_SIZE:
        return defer(upload, job_type=REPORT_JOB)
    return _read(upload, content)


def receive_later(upload: Upload, content: Content, claim: Claim) -> UploadStored:
    claim.note(50)
    return _read(upload, content)


def _read(upload: Upload, content: Content) -> UploadStored:
    read_whole(content, msgspec.json.Decoder(WeatherReport), most=MOST_BYTES)
    return UploadStored(
        upload_id=str(upload.pk),
        test_id=str(upload.pk),
        url=navigation.address_of("weather", upload.organization),
    )


REPORT = registry.PayloadType(
    product="weather",
    name="report",
    receive=receive,
    document=WeatherReport,
    area="usage",
    makes="test",
    job=job_type_for(REPORT_JOB, receive_later, area="usage", label="Reading the weather"),
)


# ── A type of job ──

foretold: list[UUID] = []


def foretell(claim: Claim) -> None:
    if claim.payload.get("isHopeless"):
        raise QuotaExceeded("The sky has closed.")
    foretold.append(claim.job.id)


def page_of_forecast(job: Job) -> str:
    return f"{navigation.path_of('weather', job.owner)}?job={job.id}"


# ── Pages: one for everybody, one for those who administer ──


_PAGE = '{% extends "shell.html" %}{% block content %}<h1>Sunny</h1>{% endblock %}'


@member_page
def weather(request: OrganizationRequest) -> HttpResponse:
    context = {"organization": request.organization, "section": "weather"}
    return HttpResponse(engines["django"].from_string(_PAGE).render(context, request))


# What the hub's urls.py would include.
urlpatterns = [
    *urls_of_the_hub,
    *i18n_patterns(
        path("<slug:organization_slug>/weather/", weather, name="weather"),
        path("<slug:organization_slug>/weather/make/", weather, name="make-weather"),
        path("<slug:organization_slug>/weather/<str:project_slug>/", weather, name="wind"),
    ),
]
PAGES = (
    navigation.Page(
        name="weather",
        route="weather",
        menu=navigation.ORGANIZATION_MENU,
        order=ORDER_OF_MENU,
        label="Weather",
        icon="clock",
        scope="usage:read",
    ),
    navigation.Page(
        name="make-weather",
        route="make-weather",
        menu=navigation.ORGANIZATION_MENU,
        order=ORDER_OF_MENU,
        label="Make weather",
        icon="settings",
        scope="usage:admin",
    ),
    navigation.Page(
        name="wind",
        route="wind",
        of_project=True,
        menu=navigation.PROJECT_MENU,
        order=15,
        label="Wind",
    ),
)


# ── A rule of retention, a check, a letter, a listener, a way of closing issues, an export ──


def forget_reports(*, older_than: datetime, at_most: int) -> int:
    over = Upload.across_organizations.filter(product="weather", created_at__lt=older_than)
    return len([each.delete() for each in over[:at_most]])


admitted: list[admission.Admission] = []
most_admitted = [1000]


def count_reports(wanted: admission.Admission) -> None:
    if len(admitted) >= most_admitted[0]:
        raise QuotaExceeded("There is weather enough.")
    admitted.append(wanted)


STORM = mail.Message("weather.storm", subject="Storm over %(place)s", text="Stay in %(place)s.")
given_up: list[JobGivenUp] = []


def blown_away(issue: closings.Closed) -> closings.Closing | None:
    if issue.path != "src/roof.py":
        return None
    return closings.Closing("Blown away", url=f"/weather/{issue.fingerprint}")


def _show(project: Project) -> dict[str, Any]:
    return {"project": project.name, "degrees": 21}


@contextmanager
def registered() -> Iterator[None]:
    """All of it, as ``apps.py`` would; and nothing of it afterwards."""
    registry.register(REPORT)
    jobs.register(
        FORECAST_JOB,
        foretell,
        queue="bulk",
        timeout=timedelta(minutes=2),
        area="usage",
        label="Foretelling",
        priority=Priority.HIGH,
        page=page_of_forecast,
    )
    for page in PAGES:
        navigation.register(page)
    retention.register("weather.reports", forget_reports, keep=timedelta(0))
    admission.register("weather.enough", count_reports)
    mail.register(STORM)
    events.subscribe(JobGivenUp, given_up.append)
    closings.register("weather.wind", blown_away)
    exports.register("weather", exports.in_project(Project, "pk"), _show)
    try:
        yield
    finally:
        registry.unregister("weather", "report")
        jobs.unregister(FORECAST_JOB)
        for page in PAGES:
            navigation.unregister(page.name)
        retention.unregister("weather.reports")
        admission.unregister("weather.enough")
        mail.unregister(STORM.name)
        events.unsubscribe(JobGivenUp, given_up.append)
        closings.unregister("weather.wind")
        exports.unregister("weather")
        foretold.clear()
        admitted.clear()
        given_up.clear()
        most_admitted[0] = 1000
