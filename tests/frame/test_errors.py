"""Under ``/api/`` every failure is a problem document, whoever raised it."""

from __future__ import annotations

import errno
import logging

import pytest
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.http import Http404, HttpResponse, HttpResponseServerError, UnreadablePostError
from django.test import Client, override_settings
from django.urls import path
from rest_framework import exceptions as rest
from rest_framework.views import APIView

from accounts.models import Project
from frame.errors import error_for
from odavl.wire import errors as tree
from tests.cast import Api, Person
from tests.problems import problem

RAISED: dict[str, tuple[Exception, int, str]] = {
    "http404": (Http404(), 404, "not_found"),
    "missing_row": (Project.DoesNotExist(), 404, "not_found"),
    "denied": (PermissionDenied(), 403, "permission_denied"),
    "suspicious": (SuspiciousOperation(), 400, "malformed_request"),
    "too_big": (RequestDataTooBig(), 413, "payload_too_large"),
    "unreadable": (UnreadablePostError(), 408, "request_timeout"),
    "invalid": (ValidationError("x"), 422, "invalid_payload"),
    "parse": (rest.ParseError(), 400, "malformed_request"),
    "rest_invalid": (rest.ValidationError({"a": ["b"]}), 422, "invalid_payload"),
    "media": (rest.UnsupportedMediaType("x"), 415, "unsupported_media_type"),
    "throttled": (rest.Throttled(wait=3), 429, "rate_limited"),
    "gone": (OperationalError("server closed the connection"), 503, "service_unavailable"),
    "hung_up": (DatabaseError("server closed the connection"), 503, "service_unavailable"),
    "closed": (InterfaceError("connection already closed"), 503, "service_unavailable"),
    "own_disk": (OSError(errno.ENOSPC, "No space left"), 507, "storage_full"),
    "data": (DataError("out of range"), 422, "invalid_payload"),
    "integrity": (IntegrityError("x"), 500, "internal_error"),
    "defect": (ZeroDivisionError("secret detail"), 500, "internal_error"),
    "ours": (tree.InProgress("Wait.", retry_after=1.2), 409, "in_progress"),
}


class RaisingView(APIView):
    authentication_classes = ()
    permission_classes = ()

    def get(self, request, name):
        raise RAISED[name][0]


def plain_view(request, name):
    raise RAISED[name][0]


class DiskFullView(RaisingView):
    def get(self, request):
        with connection.cursor() as cursor:
            cursor.execute(
                "DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$"
            )


def html_view(request):
    return HttpResponseServerError("<h1>A page of somebody else</h1>", headers={"Retry-After": "7"})


def page_view(request):
    raise ZeroDivisionError


urlpatterns = [
    path("api/view/<str:name>", RaisingView.as_view()),
    path("api/plain/<str:name>", plain_view),
    path("api/html", html_view),
    path("api/disk", DiskFullView.as_view()),
    path("api/fine", lambda request: HttpResponse("fine")),
    path("page", page_view),
]
handler400 = "frame.errors.bad_request"
handler403 = "frame.errors.permission_denied"
handler404 = "frame.errors.not_found"
handler500 = "frame.errors.server_error"

here = pytest.mark.urls(__name__)


@here
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("place", ["view", "plain"])
@pytest.mark.parametrize("name", RAISED)
def test_what_is_raised_becomes_a_problem(name, place, debug, settings):
    settings.DEBUG = debug
    _, status, code = RAISED[name]
    answer = Client(raise_request_exception=False).get(f"/api/{place}/{name}")
    if debug and place == "plain":
        # Django's own pages for developers know no more than a status.
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.status_code in {400, 403, 404, 413, 500}
        return
    document = problem(answer, status, code)
    assert "secret detail" not in answer.content.decode()
    assert document["retryable"] == (status in {408, 500, 503, 507} or code in {
        "rate_limited", "in_progress",
    })  # fmt: skip


@here
def test_a_database_whose_disk_is_full_says_so(db):
    with transaction.atomic():
        answer = Client().get("/api/disk")
        transaction.set_rollback(True)
    problem(answer, 507, "storage_full")


@here
@pytest.mark.parametrize(
    ("name", "seconds"), [("gone", "5"), ("ours", "2"), ("throttled", "3"), ("defect", None)]
)
def test_an_answer_says_when_to_come_back(name, seconds):
    answer = Client().get(f"/api/view/{name}")
    assert answer.get("Retry-After") == seconds


@here
def test_a_page_of_somebody_else_becomes_a_problem():
    answer = Client().get("/api/html")
    problem(answer, 500, "internal_error")
    assert answer["Retry-After"] == "7"
    assert Client().get("/api/fine").content == b"fine"


@here
def test_pages_keep_their_own_error_pages(db):
    answer = Client(raise_request_exception=False).get("/page")
    assert answer.status_code == 500
    assert answer["Content-Type"].startswith("text/html")


def test_what_nobody_foresaw_is_in_the_log_with_its_trace(caplog):
    with caplog.at_level(logging.ERROR):
        error_for(ZeroDivisionError("the reason"))
    assert "the reason" in caplog.text
    assert "Traceback" in caplog.text or caplog.records[0].exc_info


class TestTheRealRoutes:
    def test_an_unknown_address_is_a_problem_not_a_redirect(self, anonymous: Api):
        for path_ in ("/api/nothing", "/api/v1/nothing", "/api/v2/projects", "/api/"):
            for method in ("get", "post", "put", "delete", "options"):
                answer = getattr(anonymous, method)(path_, headers={"Accept-Language": "ar"})
                problem(answer, 404, "not_found")

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
    def test_a_wrong_method_is_a_problem(self, alice: Person, method):
        answer = alice.api.send(method, "/projects")
        problem(answer, 405, "method_not_allowed")
        assert "GET" in answer["Allow"]

    def test_an_unknown_host_is_a_problem(self, anonymous: Api):
        with override_settings(ALLOWED_HOSTS=["odavl.example"]):
            answer = anonymous.get("/api/v1/projects", headers={"Host": "evil.example"})
            assert answer.status_code in {400, 401}
            assert answer["Content-Type"] == "application/problem+json"

    def test_a_body_larger_than_its_bound_is_refused(self, alice: Person):
        answer = alice.api.send("POST", "/projects", '"' + "x" * (1024 * 1024) + '"')
        problem(answer, 413, "payload_too_large")

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "{",
            "nonsense",
            '{"name": NaN}',
            b"\xff\xfe",
            "\x00",
            '{"name": "\x01"}',
        ],
    )
    def test_what_is_no_json_is_refused(self, alice: Person, body):
        problem(alice.api.send("POST", "/projects", body), 400, "malformed_json")

    @pytest.mark.parametrize(
        "body", ["[" * 100_000, '{"name": ' + "[" * 100_000, '{"a":' * 100_000]
    )
    def test_nesting_without_end_is_refused(self, alice: Person, body):
        answer = alice.api.send("POST", "/projects", body)
        assert answer.status_code in {400, 422}
        assert answer["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize("number", ["1" * 5000, "1e9999", "-" + "9" * 400])
    def test_numbers_without_end_are_refused(self, alice: Person, number):
        answer = alice.api.send("POST", "/projects", f'{{"name": {number}}}')
        assert answer.status_code in {400, 422}
        assert answer["Content-Type"] == "application/problem+json"

    def test_another_media_type_is_refused(self, alice: Person):
        answer = alice.api.post("/api/v1/projects", "name=x", content_type="text/plain")
        problem(answer, 415, "unsupported_media_type")

    def test_a_wrong_length_is_no_failure(self, alice: Person):
        for length in ("ten", "-5", ""):
            answer = alice.api.generic(
                "POST", "/api/v1/projects", b"{}", "application/json", CONTENT_LENGTH=length
            )
            assert answer.status_code in {400, 422}
            assert answer["Content-Type"] == "application/problem+json"

    def test_any_accept_header_gets_json(self, alice: Person):
        answer = alice.api.send("GET", "/projects", Accept="text/html")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
