"""What stands around every API request: no HTML out, no NUL in, no language guessed."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from frame.errors import is_api, problem_for_status, problem_response
from odavl.wire.errors import MalformedRequest, NotFound


class ApiFrameMiddleware:
    """Under ``/api/`` an error answer that is not JSON becomes a problem document.

    Django and other middleware answer some errors on their own, and in DEBUG with long pages.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_api(request.path_info):
            return self.get_response(request)
        # PostgreSQL takes no NUL in text, so no address that has one can mean anything.
        if "\x00" in request.path_info:
            return problem_response(NotFound("There is nothing at this address."))
        if "%00" in request.META.get("QUERY_STRING", ""):
            return problem_response(MalformedRequest("The query has a NUL character."))
        response = self.get_response(request)
        if response.status_code < HTTPStatus.BAD_REQUEST or _is_json(response):
            return response
        problem = problem_for_status(response.status_code)
        for header in ("Allow", "Retry-After", "WWW-Authenticate"):
            if response.has_header(header):
                problem[header] = response[header]
        # Not closed here: Django would take the request for over. Error pages hold nothing open.
        return problem


class PageLanguageMiddleware(LocaleMiddleware):
    """Languages are for pages: the API speaks one, and never redirects to a translated address."""

    def process_request(self, request: HttpRequest) -> None:
        if is_api(request.path_info):
            translation.activate(settings.LANGUAGE_CODE)
            return
        super().process_request(request)

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if is_api(request.path_info):
            return response
        return super().process_response(request, response)


def _is_json(response: HttpResponse) -> bool:
    return "json" in response.get("Content-Type", "")
