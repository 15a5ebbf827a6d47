"""What operators, load balancers and readers of the API ask: outside of ``/api/v1`` and of keys."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from frame import reference
from frame.documentation import documented
from frame.openapi import schema_as_json, schema_as_yaml, the_schema
from odavl.wire.health import Health, Liveness, Readiness
from odavl_hub import health

_UNCACHED = {"Cache-Control": "no-store"}


class PublicView(APIView):
    """Asks for no key and reads none, so that a wrong one cannot hide how the hub is."""

    authentication_classes = ()
    permission_classes = ()


class HealthView(PublicView):
    @documented(
        "Tell how the hub is, part by part", responses={200: Health, 503: Health}, public=True
    )
    def get(self, _request: Request) -> Response:
        found = health.health()
        status = HTTPStatus.SERVICE_UNAVAILABLE if found.status == "down" else HTTPStatus.OK
        return Response(found, status=status, headers=_UNCACHED)


class ReadinessView(PublicView):
    @documented(
        "Tell whether requests may be sent here",
        responses={200: Readiness, 503: Readiness},
        public=True,
    )
    def get(self, _request: Request) -> Response:
        found = health.readiness()
        status = HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(found, status=status, headers=_UNCACHED)


class LivenessView(PublicView):
    @documented("Tell that the process is alive", responses={200: Liveness}, public=True)
    def get(self, _request: Request) -> Response:
        return Response(Liveness(), headers=_UNCACHED)


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document: JSON, or YAML with ``?format=yaml`` or where only that is accepted."""
    wanted = request.GET.get("format") or request.headers.get("Accept", "")
    if "yaml" in wanted and "json" not in wanted:
        return HttpResponse(schema_as_yaml(), content_type="application/yaml")
    return HttpResponse(schema_as_json(), content_type="application/json")


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The API for people: every operation of the schema on one page."""
    # The schema speaks English, so the page around it does too.
    with translation.override("en"):
        return render(request, "api_docs.html", {"reference": reference.read(the_schema())})
