"""The page for who has to wait: how long it says, and where it leads."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import translation

from odavl.wire.errors import InvalidPayload, RateLimited
from odavl_hub import throttling

WAITS = [
    (0.2, 1, "1 second."),
    (1, 1, "1 second."),
    (1.1, 2, "2 seconds."),
    (59, 59, "59 seconds."),
    (59.5, 60, "1 minute."),
    (60, 60, "1 minute."),
    (61, 61, "2 minutes."),
    (120, 120, "2 minutes."),
    (3_600, 3_600, "60 minutes."),
    (7_199, 7_199, "120 minutes."),
    (7_200, 7_200, "2 hours."),
    (7_201, 7_201, "3 hours."),
    (86_400, 86_400, "24 hours."),
]


@pytest.mark.parametrize(("seconds", "header", "text"), WAITS)
def test_a_wait_is_said_as_people_say_it_and_never_too_short(
    seconds: float, header: int, text: str
) -> None:
    request = RequestFactory().get("/en/accounts/login/")
    with translation.override("en"):
        answer = throttling.too_many(request, RateLimited("x", retry_after=seconds))
    assert (answer.status_code, answer["Retry-After"]) == (429, str(header))
    assert answer["Cache-Control"] == "no-store"
    assert f"Try again in {text}" in answer.content.decode()


def test_without_a_wait_it_is_a_second() -> None:
    request = RequestFactory().get("/en/accounts/login/")
    answer = throttling.too_many(request, RateLimited("x"))
    assert answer["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/en/acme/", True),
        ("/en/acme/?a=b&c=d", True),
        ("https://evil.example/", False),
        ("//evil.example/", False),
        ("/\\evil.example", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_the_way_back_is_kept_where_it_stays_here(target: str, kept: bool, method: str) -> None:
    request = getattr(RequestFactory(), method)("/en/accounts/login/", {"next": target})
    again = throttling._again(request)
    assert again.startswith("/en/accounts/login/")
    assert ("next=" in again) == kept
    assert "evil" not in again


def test_only_pages_and_only_limits_are_answered_so() -> None:
    doors = throttling.ThrottlingMiddleware(lambda _: HttpResponse())
    page, api = RequestFactory().get("/en/x"), RequestFactory().get("/api/v1/x")
    limited = RateLimited("x", retry_after=3)
    found = doors.process_exception(page, limited)
    assert found is not None
    assert found.status_code == 429
    assert doors.process_exception(api, limited) is None
    assert doors.process_exception(page, InvalidPayload("x")) is None
    assert doors.process_exception(page, ValueError()) is None
