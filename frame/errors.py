"""The one place where an exception becomes an answer.

Under ``/api/`` every failure is an RFC 9457 problem document, whoever raised it: a view, Django
REST framework, Django itself or the database. Pages keep Django's error templates.
"""

from __future__ import annotations

import errno
import logging
import math
import sys
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from django.core.exceptions import (
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import DatabaseError, DataError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from django.views import defaults
from rest_framework import exceptions as rest

from frame.database.errors import is_transient
from frame.database.timeouts import LOCK_NOT_AVAILABLE
from frame.request_ids import current_request_id
from odavl.wire import errors as tree
from odavl.wire.problem import CONTENT_TYPE, class_for_status, problem_of

_log = logging.getLogger(__name__)
_DISK_FULL = "53100"
"""PostgreSQL's SQLSTATE disk_full."""
_TIMEOUTS = {
    LOCK_NOT_AVAILABLE: "Somebody else is changing the same at this moment.",
    "57014": "The database took too long to answer.",
}
_RETRY_SOON = 5.0

_REST_CLASSES: tuple[tuple[type[rest.APIException], type[tree.OdavlError]], ...] = (
    (rest.NotAuthenticated, tree.NotAuthenticated),
    (rest.AuthenticationFailed, tree.NotAuthenticated),
    (rest.ParseError, tree.MalformedRequest),
    (rest.ValidationError, tree.InvalidPayload),
    (rest.MethodNotAllowed, tree.MethodNotAllowed),
    (rest.NotAcceptable, tree.NotAcceptable),
    (rest.UnsupportedMediaType, tree.UnsupportedMedia),
    (rest.NotFound, tree.NotFound),
    (rest.PermissionDenied, tree.PermissionRefused),
)
_DJANGO_CLASSES: tuple[tuple[type[Exception], type[tree.OdavlError]], ...] = (
    (Http404, tree.NotFound),
    (ObjectDoesNotExist, tree.NotFound),
    (PermissionDenied, tree.PermissionRefused),
    (RequestDataTooBig, tree.PayloadTooLarge),
    (SuspiciousOperation, tree.MalformedRequest),
    (UnreadablePostError, tree.RequestTimeout),
    (ValidationError, tree.InvalidPayload),
)


def handle(error: Exception, context: dict[str, object]) -> HttpResponse:
    """What Django REST framework calls with anything that a view raised."""
    del context  # The view adds Allow and Vary by itself.
    return problem_response(error_for(error))


def error_for(error: BaseException | None) -> tree.OdavlError:
    """``error`` as a member of the tree; what nobody foresaw is logged and a 500."""
    if isinstance(error, tree.OdavlError):
        return error
    if isinstance(error, rest.APIException):
        return _from_rest(error)
    if isinstance(error, DatabaseError | InterfaceError):
        return _from_database(error)
    for known, error_class in _DJANGO_CLASSES:
        if isinstance(error, known):
            return error_class()
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        _log.error("The hub's disk is full.", exc_info=error)
        return tree.StorageFull()
    _log.error("A request failed in a way that nobody foresaw.", exc_info=error)
    return tree.ServerFault("The hub failed; its log has the details under this request id.")


def problem_response(error: tree.OdavlError) -> HttpResponse:
    """``error`` as ``application/problem+json`` with the headers that its status asks for."""
    body = msgspec.json.encode(problem_of(error, current_request_id()))
    response = HttpResponse(body, status=int(error.status), content_type=CONTENT_TYPE)
    retry_after = error.retry_after
    if retry_after is None and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = _RETRY_SOON
    if retry_after is not None:
        response["Retry-After"] = str(max(0, math.ceil(retry_after)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = _challenge(error)
    response["Cache-Control"] = "no-store"
    return response


def is_api(path: str) -> bool:
    """Whether programs, not people, read the answers under ``path``."""
    return path.startswith("/api/") and path != "/api/docs"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _answer(request, exception, lambda: defaults.bad_request(request, exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _answer(request, exception, lambda: defaults.permission_denied(request, exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _answer(request, exception, lambda: defaults.page_not_found(request, exception))


def server_error(request: HttpRequest) -> HttpResponseBase:
    # Django calls this while it handles the exception, but does not hand it over.
    error = sys.exc_info()[1]
    answer = _answer(request, error, lambda: defaults.server_error(request))
    if is_transient(error) and not is_api(request.path_info):
        answer.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        answer["Retry-After"] = str(math.ceil(_RETRY_SOON))
    return answer


def _answer(
    request: HttpRequest, error: BaseException | None, page: Callable[[], HttpResponseBase]
) -> HttpResponseBase:
    if not is_api(request.path_info):
        return page()
    if isinstance(error, Http404):
        return problem_response(tree.NotFound("There is nothing at this address."))
    return problem_response(error_for(error))


def problem_for_status(status: int) -> HttpResponse:
    """The problem for an error answer that came without one."""
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem_response(tree.MethodNotAllowed())
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem_response(tree.ServerFault())
    return problem_response(class_for_status(status)())


def _from_rest(error: rest.APIException) -> tree.OdavlError:
    detail = str(error.detail) if isinstance(error.detail, str) else ""
    if isinstance(error, rest.Throttled):
        return tree.RateLimited(detail, retry_after=getattr(error, "wait", None))
    for known, error_class in _REST_CLASSES:
        if isinstance(error, known):
            return error_class(detail)
    return class_for_status(error.status_code)(detail)


def _from_database(error: Exception) -> tree.OdavlError:
    if _state_of(error) == _DISK_FULL:
        _log.error("The database's disk is full.", exc_info=error)
        return tree.StorageFull()
    if is_transient(error):
        _log.warning("The database cannot answer: %s", error)
        return tree.ServiceUnavailable(
            _TIMEOUTS.get(_state_of(error), "The database cannot answer now.")
        )
    if isinstance(error, DataError):
        # A value that no column takes: what was sent does not fit, though no check of ours said so.
        _log.error("The database refused a value.", exc_info=error)
        return tree.InvalidPayload("A value is outside of what can be stored.")
    _log.error("The database refused a statement.", exc_info=error)
    return tree.ServerFault("The hub failed; its log has the details under this request id.")


def _state_of(error: BaseException) -> str:
    """The SQLSTATE that the database told, or nothing."""
    return getattr(error.__cause__, "pgcode", None) or ""


def _challenge(error: tree.OdavlError) -> str:
    """RFC 6750, section 3: the key that was sent is at fault, or none was sent."""
    if isinstance(error, tree.KeyExpired | tree.KeyRevoked):
        return f'Bearer realm="odavl", error="invalid_token", error_description="{error.title}"'
    return 'Bearer realm="odavl"'
