"""Limits in front of pages, and the page that says how long to wait."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import ngettext

from accounts.throttles import is_local_path, throttle_view
from frame.errors import is_api
from odavl.wire.errors import RateLimited

_MINUTE = 60
_HOUR = 3_600


class ThrottlingMiddleware:
    """The innermost: it knows which view is meant, and sees what the view raises."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, arguments: object, named: object
    ) -> HttpResponse | None:
        del view, arguments, named
        match = request.resolver_match
        try:
            throttle_view(request, match.view_name if match else "")
        except RateLimited as error:
            return too_many(request, error)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, RateLimited) and not is_api(request.path_info):
            return too_many(request, error)
        return None


def too_many(request: HttpRequest, error: RateLimited) -> HttpResponse:
    """429 as a page, with ``Retry-After`` in seconds."""
    seconds = max(1, math.ceil(error.retry_after or 1))
    answer = render(
        request,
        "429.html",
        {"wait": _wait(seconds), "again": _again(request)},
        status=HTTPStatus.TOO_MANY_REQUESTS,
    )
    answer["Retry-After"] = str(seconds)
    answer["Cache-Control"] = "no-store"
    return answer


def _wait(seconds: int) -> str:
    """``seconds`` as people say it: never less than is to be waited."""
    if seconds >= 2 * _HOUR:
        number = math.ceil(seconds / _HOUR)
        told = ngettext("Try again in %d hour.", "Try again in %d hours.", number)
    elif seconds >= _MINUTE:
        number = math.ceil(seconds / _MINUTE)
        told = ngettext("Try again in %d minute.", "Try again in %d minutes.", number)
    else:
        number = seconds
        told = ngettext("Try again in %d second.", "Try again in %d seconds.", number)
    return told % number


def _again(request: HttpRequest) -> str:
    """This page once more, with the way back that it had."""
    target = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME)
    if target is not None and is_local_path(target):
        return f"{request.path}?{urlencode({REDIRECT_FIELD_NAME: target})}"
    return request.path
