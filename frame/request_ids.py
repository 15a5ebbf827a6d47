"""What is known of a request from its head: its id above all.

The id comes from ``X-Request-Id`` or is made here, is given back, and stands in every log line.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_http_date_safe

from frame.request_context import (
    RequestContext,
    current_request,
    enter_request,
    leave_request,
)

_UNREMARKABLE = 5
"""Seconds: a second is lost in the header, others on the way."""
_INCREDIBLE = 366 * 24 * 3600
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def current_request_id() -> str:
    """The id of the request being answered, ``-`` outside of one."""
    return current_request().request_id


def request_id_of(sent: str) -> str:
    """``sent`` where it is harmless, as a stranger's id goes into our logs; else a new one."""
    return sent if _ACCEPTED.fullmatch(sent) else secrets.token_hex(8)


def clock_ahead(date: str | None, *, now: float) -> int:
    """Seconds by which the sender of ``Date`` (RFC 9110, 6.6.1) is ahead of ``now`` (seconds).

    0 where it tells none, and for what the way of the request explains.
    """
    # Refuses nothing: a header that is no date tells us nothing.
    told = parse_http_date_safe(date) if date else None
    ahead = round(told - now) if told is not None else 0
    return ahead if _UNREMARKABLE < abs(ahead) < _INCREDIBLE else 0


_REQUEST_ID = "odavl.request_id"


class RequestIdMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request.headers.get("X-Request-Id", ""))
        request.META[_REQUEST_ID] = request_id  # for RequestIdFilter
        token = enter_request(
            RequestContext(
                request_id,
                request.META.get("REMOTE_ADDR") or None,
                clock_ahead(request.headers.get("Date"), now=time.time()),
            )
        )
        try:
            response = self.get_response(request)
        finally:
            leave_request(token)
        response["X-Request-Id"] = request_id
        return response


class RequestIdFilter(logging.Filter):
    """Gives every record the attribute ``request_id``."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs an answer's status when the middleware is done with it.
        request = getattr(record, "request", None)
        record.request_id = getattr(request, "META", {}).get(_REQUEST_ID) or current_request_id()
        return True
