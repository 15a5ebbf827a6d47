"""Scopes: what implies what, and that silence opens nothing."""

from __future__ import annotations

import pytest
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import is_at_least, scopes_of_role
from accounts.services import create_api_key
from odavl.wire.scopes import ALL_SCOPES, AREAS, PRESETS, implied, unknown
from tests.cast import Api, Person
from tests.problems import problem


class SilentView(APIView):
    def get(self, request):
        return Response({})


class GuardedView(APIView):
    required_scopes = {"GET": "insight:read", "POST": "insight:write", "DELETE": "insight:admin"}

    def get(self, request):
        return Response({})

    post = delete = get


urlpatterns = [
    path("api/v1/silent", SilentView.as_view()),
    path("api/v1/guarded", GuardedView.as_view()),
]
here = pytest.mark.urls(__name__)


@here
def test_a_view_that_declares_nothing_lets_nobody_in(alice: Person):
    problem(alice.api.send("GET", "/silent"), 403, "missing_scope")


@here
@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("insight:read", {"GET"}),
        ("insight:write", {"GET", "POST"}),
        ("insight:admin", {"GET", "POST", "DELETE"}),
        ("guardian:admin", set()),
    ],
)
def test_admin_implies_write_implies_read(alice: Person, scope, allowed):
    _, token = create_api_key(by=alice.principal, name="x", scopes=[scope])
    for method in ("GET", "POST", "DELETE"):
        answer = Api(token).send(method, "/guarded")
        if method in allowed:
            assert answer.status_code == 200
        else:
            problem(answer, 403, "missing_scope")
    assert (Api(token).send("HEAD", "/guarded").status_code == 200) == ("GET" in allowed)


def test_presets_are_what_they_say():
    assert implied(PRESETS["all"]) == set(ALL_SCOPES)
    assert implied(PRESETS["read-only"]) == {f"{area}:read" for area in AREAS}
    assert implied(PRESETS["ci"]) >= {"insight:write", "guardian:write", "projects:read"}
    assert not implied(PRESETS["ci"]) & {"projects:write", "insight:admin", "storage:write"}


def test_what_is_no_scope_implies_nothing():
    assert implied(["insight", "insight:", ":read", "insight:root", "*"]) == frozenset()
    assert unknown(["insight:read", "insight:root", ""]) == ("insight:root", "")


def test_roles_grow():
    for lower, higher in (("viewer", "member"), ("member", "admin"), ("admin", "owner")):
        assert scopes_of_role(lower) <= scopes_of_role(higher)
        assert is_at_least(higher, lower)
        assert not is_at_least(lower, higher)
    assert scopes_of_role("guest") == frozenset()
