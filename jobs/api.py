"""``/api/v1/sync/jobs`` and ``/api/v1/jobs/{id}``: parse, one call, render."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, get_args
from uuid import UUID

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import respond_once
from accounts.principal import principal_of
from accounts.queries import project_of
from frame.bodies import read_body
from frame.documentation import ANY_KEY, IDEMPOTENCY_KEY, PAGE, Parameter, documented
from frame.finding import no_such
from frame.paging import bad_parameter, paginate, whole_number
from jobs import actions, queries, streaming
from jobs import rendering as show
from odavl.wire import jobs as wire

_COMMAND = msgspec.json.Decoder(wire.JobCommand)
_MOST_DAYS = 3650
_MOST_TYPES = 50
_ORDER = ("-created_at", "-id")
_STATE = Parameter(
    "state",
    "Only these states; may be repeated.",
    {"type": "array", "items": {"type": "string", "enum": list(get_args(wire.JobState))}},
)
_TYPE = Parameter("type", "Only these types.", {"type": "array", "items": {"type": "string"}})
_PROJECT = Parameter("project", "Id or slug of the project that they are about.")
_DAYS = Parameter(
    "daysToKeep",
    "Keep what finished within so many days.",
    {"type": "integer", "minimum": 0, "maximum": _MOST_DAYS, "default": 7},
)
_LAST_EVENT = Parameter(
    "Last-Event-ID", "The id of the last event that was received.", location="header"
)


class JobsView(APIView):
    """A key sees and changes jobs of the areas that its scopes name."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": ANY_KEY, "POST": ANY_KEY, "DELETE": ANY_KEY}

    @documented(
        "List jobs, latest first",
        responses={200: wire.JobPage},
        parameters=(*PAGE, _STATE, _TYPE, _PROJECT),
    )
    def get(self, request: Request) -> Response:
        principal = principal_of(request)
        visible = queries.visible_jobs(principal)
        named = request.query_params.get("project")
        project = project_of(principal, named) if named else None
        rows = queries.filtered(
            visible, states=_states(request), types=_types(request), project=project
        )
        page = paginate(request, rows, order=_ORDER, show=show.job_summary, count=True)
        about = visible if project is None else visible.filter(project=project)
        page.data["statistics"] = show.statistics(queries.statistics(about))
        return page

    @documented(
        "Retry, cancel, pause or resume a job",
        description=(
            "409 `conflict` where its state does not allow it. What a worker has begun ends "
            "within seconds and leaves nothing half done; a job that is resumed or retried goes "
            "on with what was not committed yet."
        ),
        request=wire.JobCommand,
        responses={200: wire.JobSummary},
        parameters=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request) -> Response:
        principal = principal_of(request)
        wanted = read_body(request, _COMMAND)

        def make() -> tuple[int, wire.JobSummary]:
            job = queries.visible_job(principal, _id(wanted.job_id), level="write")
            actions.act(job, wanted.action, by=principal)
            return 200, show.job_summary(job)

        return respond_once(request, make, project=principal.project)

    @documented(
        "Remove finished jobs", responses={200: wire.JobsCleared}, parameters=(_DAYS, _PROJECT)
    )
    def delete(self, request: Request) -> Response:
        principal = principal_of(request)
        days = whole_number(request.query_params, "daysToKeep", 7, least=0, most=_MOST_DAYS)
        rows = queries.visible_jobs(principal, level="write")
        named = request.query_params.get("project")
        if named:
            rows = rows.filter(project=project_of(principal, named))
        deleted = actions.clear(rows, older_than=timedelta(days=days), by=principal)
        return Response(wire.JobsCleared(deleted=deleted))


class JobView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": ANY_KEY}

    @documented("Show a job", responses={200: wire.JobSummary})
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(show.job_summary(queries.visible_job(principal_of(request), job_id)))


class JobEventsView(APIView):
    required_scopes: ClassVar[dict[str, str]] = {"GET": ANY_KEY}

    @documented(
        "Follow a job by server-sent events",
        description=(
            "`text/event-stream`: an event `job` with the job as its data for every change, and a "
            "comment every few seconds. A stream ends after half a minute, or at once when many "
            "are open; come back with `Last-Event-ID`, as EventSource does by itself. 204 once "
            "the end of the job has been received."
        ),
        responses={200: None, 204: None},
        parameters=(_LAST_EVENT,),
    )
    def get(self, request: Request, job_id: UUID) -> HttpResponseBase:
        principal = principal_of(request)
        job = queries.visible_job(principal, job_id)
        last_event_id = request.headers.get("Last-Event-ID")
        if streaming.has_ended_at(job, last_event_id):
            return HttpResponse(status=204)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        stream = streaming.events(job, last_event_id, key=principal.key)
        return StreamingHttpResponse(stream, content_type="text/event-stream", headers=headers)


def _states(request: Request) -> list[str]:
    found = _values(request, "state")
    known = get_args(wire.JobState)
    if not set(found) <= set(known):
        raise bad_parameter("state", f"must be among {', '.join(known)}")
    return found


def _types(request: Request) -> list[str]:
    found = _values(request, "type")
    if len(found) > _MOST_TYPES or not all(name.isprintable() for name in found):
        raise bad_parameter("type", "names no types")
    return found


def _values(request: Request, name: str) -> list[str]:
    """Repeated or separated by commas."""
    texts = request.query_params.getlist(name)
    return [part for text in texts for part in text.split(",") if part]


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise no_such("job") from error
