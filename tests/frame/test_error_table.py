"""Every exception that can reach the handler, with the status, code and headers of its answer."""

from __future__ import annotations

import errno
import inspect
import math
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from django.core import exceptions as django
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from django.http import Http404, HttpResponse, HttpResponseNotAllowed, UnreadablePostError
from django.test import RequestFactory
from rest_framework import exceptions as rest

from accounts.models import Organization
from frame.errors import error_for, is_api, problem_for_status, problem_response
from frame.middleware import ApiFrameMiddleware
from odavl.wire import errors as tree
from odavl.wire.problem import CONTENT_TYPE


class Cause(Exception):
    pgcode: str | None = None


def of_database(kind: type[Exception], sqlstate: str | None) -> Exception:
    cause = Cause()
    cause.pgcode = sqlstate
    error = kind("what the database said, with 'a secret' in it")
    error.__cause__ = cause
    return error


TABLE: list[tuple[Exception, int, str, bool, str | None]] = [
    (rest.NotAuthenticated(), 401, "not_authenticated", False, None),
    (rest.AuthenticationFailed(), 401, "not_authenticated", False, None),
    (rest.ParseError(), 400, "malformed_request", False, None),
    (rest.ValidationError("x"), 422, "invalid_payload", False, None),
    (rest.MethodNotAllowed("PUT"), 405, "method_not_allowed", False, None),
    (rest.NotAcceptable(), 406, "not_acceptable", False, None),
    (rest.UnsupportedMediaType("a/b"), 415, "unsupported_media_type", False, None),
    (rest.NotFound(), 404, "not_found", False, None),
    (rest.PermissionDenied(), 403, "permission_denied", False, None),
    (rest.Throttled(wait=7.2), 429, "rate_limited", True, "8"),
    (Http404(), 404, "not_found", False, None),
    (django.ObjectDoesNotExist(), 404, "not_found", False, None),
    (Organization.DoesNotExist(), 404, "not_found", False, None),
    (django.PermissionDenied(), 403, "permission_denied", False, None),
    (django.RequestDataTooBig(), 413, "payload_too_large", False, None),
    (django.SuspiciousOperation(), 400, "malformed_request", False, None),
    (django.DisallowedHost(), 400, "malformed_request", False, None),
    (django.TooManyFieldsSent(), 400, "malformed_request", False, None),
    (UnreadablePostError(), 408, "request_timeout", True, None),
    (django.ValidationError("x"), 422, "invalid_payload", False, None),
    (OSError(errno.ENOSPC, "full"), 507, "storage_full", True, None),
    (OSError(errno.EDQUOT, "full"), 507, "storage_full", True, None),
    (OSError(errno.EACCES, "no"), 500, "internal_error", True, None),
    (ValueError("a secret"), 500, "internal_error", True, None),
    (KeyError("a secret"), 500, "internal_error", True, None),
    (RecursionError(), 500, "internal_error", True, None),
    (of_database(OperationalError, None), 503, "service_unavailable", True, "5"),
    (of_database(OperationalError, "57P01"), 503, "service_unavailable", True, "5"),
    (of_database(OperationalError, "55P03"), 503, "service_unavailable", True, "5"),
    (of_database(OperationalError, "57014"), 503, "service_unavailable", True, "5"),
    (of_database(OperationalError, "40P01"), 503, "service_unavailable", True, "5"),
    (of_database(OperationalError, "53100"), 507, "storage_full", True, None),
    (of_database(InterfaceError, None), 503, "service_unavailable", True, "5"),
    (of_database(DatabaseError, None), 503, "service_unavailable", True, "5"),
    (of_database(DatabaseError, "XX000"), 500, "internal_error", True, None),
    (of_database(InternalError, "25P03"), 503, "service_unavailable", True, "5"),
    (of_database(InternalError, "25P02"), 500, "internal_error", True, None),
    (of_database(DataError, "22003"), 422, "invalid_payload", False, None),
    (of_database(IntegrityError, "23505"), 500, "internal_error", True, None),
    (of_database(ProgrammingError, "42P01"), 500, "internal_error", True, None),
]


def named(row: Any) -> str:
    error = row[0]
    return f"{type(error).__name__}-{getattr(error.__cause__, 'pgcode', '')}"


@pytest.mark.parametrize(
    ("error", "status", "code", "retryable", "retry_after"), TABLE, ids=map(named, TABLE)
)
def test_an_exception_is_answered_as_the_table_says(
    error: Exception, status: int, code: str, retryable: bool, retry_after: str | None
) -> None:
    answer = problem_response(error_for(error))
    told = msgspec.json.decode(answer.content)
    assert (answer.status_code, told["status"], told["code"]) == (status, status, code)
    assert told["retryable"] == retryable
    assert answer.get("Retry-After") == retry_after
    assert answer["Content-Type"] == CONTENT_TYPE
    assert answer["Cache-Control"] == "no-store"
    assert ("WWW-Authenticate" in answer) == (status == 401)
    assert "secret" not in answer.content.decode()


def members() -> list[type[tree.OdavlError]]:
    """Every class of the tree that says what it is."""
    found = []
    for _, kind in inspect.getmembers(tree, inspect.isclass):
        if issubclass(kind, tree.OdavlError) and getattr(kind, "code", ""):
            found.append(kind)
    return found


@pytest.mark.parametrize("kind", members(), ids=lambda kind: kind.__name__)
def test_a_member_of_the_tree_goes_through_as_it_is(kind: type[tree.OdavlError]) -> None:
    try:
        error = kind("what happened")
    except TypeError:
        pytest.skip("needs more than a text")
    assert error_for(error) is error
    answer = problem_response(error)
    told = msgspec.json.decode(answer.content)
    assert (answer.status_code, told["code"]) == (int(kind.status), kind.code)
    assert told["type"] == f"urn:odavl:problem:{kind.code}"
    assert ("WWW-Authenticate" in answer) == (answer.status_code == 401)
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        assert "Retry-After" in answer


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0"), (0.01, "1"), (1, "1"), (1.0001, "2"), (59.5, "60"), (-3, "0"), (86_400, "86400")],
)
def test_a_wait_is_told_in_whole_seconds_and_never_too_short(seconds: float, told: str) -> None:
    answer = problem_response(tree.RateLimited("x", retry_after=seconds))
    assert answer["Retry-After"] == told
    assert int(told) >= math.floor(seconds)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (tree.NotAuthenticated("x"), 'Bearer realm="odavl"'),
        (tree.KeyExpired("x"), 'error="invalid_token"'),
        (tree.KeyRevoked("x"), 'error="invalid_token"'),
    ],
)
def test_a_challenge_says_whether_the_key_is_at_fault(error: tree.OdavlError, says: str) -> None:
    challenge = problem_response(error)["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="odavl"')
    assert says in challenge
    assert ("invalid_token" in challenge) == (type(error) is not tree.NotAuthenticated)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("SELECT 1/0", 422),
        ("SELECT 'x'::int", 422),
        ("SELECT * FROM there_is_none", 500),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(9)", 503),
        ("SELECT pg_terminate_backend(pg_backend_pid())", 503),
    ],
)
def test_what_the_real_database_raises_is_told_alike(statement: str, status: int) -> None:
    with pytest.raises(Exception) as raised, transaction.atomic(), connection.cursor() as cursor:  # noqa: PT011
        cursor.execute(statement)
    connection.close()
    assert problem_response(error_for(raised.value)).status_code == status


# ── What stands around every answer ──────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/api/v1/projects", True),
        ("/api/", True),
        ("/api/docs", False),
        ("/api/docs/", True),
        ("/api", False),
        ("/apiary", False),
        ("/en/api/v1", False),
        ("/", False),
    ],
)
def test_what_counts_as_the_api(path: str, api: bool) -> None:
    assert is_api(path) == api


def through(answer: HttpResponse, path: str = "/api/v1/x") -> HttpResponse:
    return ApiFrameMiddleware(lambda _: answer)(RequestFactory().get(path))


@pytest.mark.parametrize("status", [400, 403, 404, 408, 413, 429, 431, 500, 502, 503])
def test_html_never_leaves_the_api(status: int) -> None:
    page = HttpResponse("<h1>Error with a secret</h1>", status=status)
    page["Retry-After"], page["WWW-Authenticate"], page["X-Other"] = "9", "Basic", "y"
    answer = through(page)
    told = msgspec.json.decode(answer.content)
    assert (answer["Content-Type"], told["status"]) == (CONTENT_TYPE, answer.status_code)
    assert answer.status_code // 100 == status // 100
    assert (answer["Retry-After"], answer["WWW-Authenticate"]) == ("9", "Basic")
    assert "X-Other" not in answer
    assert through(page, "/en/x") is page


@pytest.mark.parametrize("status", [200, 204, 302, 399])
def test_what_is_no_error_goes_through(status: int) -> None:
    answer = HttpResponse("<p>", status=status)
    assert through(answer) is answer


def test_an_error_that_is_json_goes_through_and_allowed_methods_stay() -> None:
    answer = HttpResponse("{}", status=404, content_type="application/problem+json")
    assert through(answer) is answer
    assert through(HttpResponseNotAllowed(["GET", "POST"]))["Allow"] == "GET, POST"


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 409, 410, 413, 418, 422, 429, 500, 503]
)
def test_a_bare_status_has_a_problem(status: int) -> None:
    answer = problem_for_status(status)
    assert answer["Content-Type"] == CONTENT_TYPE
    assert answer.status_code // 100 == status // 100


def test_a_nul_means_nothing_in_an_address_and_is_refused_in_a_question() -> None:
    def fails(_: Any) -> HttpResponse:
        raise AssertionError

    frame = ApiFrameMiddleware(fails)
    request = RequestFactory().get("/api/v1/x")
    request.path_info = "/api/v1/a\x00b"
    assert frame(request).status_code == 404
    assert frame(RequestFactory().get("/api/v1/x?q=a%00b")).status_code == 400
