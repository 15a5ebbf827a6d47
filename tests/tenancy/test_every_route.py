"""Every method of every address: which scope it needs, which role, and whose rows it shows.

The tables below are compared with the URL configuration, so that a new address without an entry
fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.urls import get_resolver

from accounts.models import AuditEvent, Membership, Role
from accounts.page_access import OrganizationRequest, organization_page
from accounts.permissions import HTTP_METHODS
from accounts.services import add_member, create_api_key, create_organization, create_project
from accounts.services import create_user as new_user
from jobs.models import Job
from odavl.wire.scopes import AREAS, LEVELS
from storage.models import StoredFile
from tests.cast import PASSWORD, Api, Person
from tests.problems import problem
from tests.tenancy.keys import Bound, bound_key
from tests.tenancy.test_not_found import Names, filled, names, one_of_everything

__all__ = ["names"]

ANY = ""
"""Every key may; what it then sees is another table's matter."""
PUBLIC = {
    "api/v1/storage/public/<uuid:file_id>",
    "api/v1/storage/signed/<str:ticket>",
    "api/health",
    "api/schema",
    "api/docs",
}
SCOPES: dict[str, dict[str, str]] = {
    "auth/whoami": {"GET": ANY},
    "projects": {"GET": "projects:read", "POST": "projects:write"},
    "projects/<str:project>": {"GET": "projects:read", "PATCH": "projects:write"},
    "api-keys": {"GET": "projects:admin", "POST": "projects:admin"},
    "api-keys/<uuid:key_id>": {"GET": "projects:admin", "DELETE": "projects:admin"},
    "audit": {"GET": "projects:admin"},
    "sync/jobs": {"GET": ANY, "POST": ANY, "DELETE": ANY},
    "jobs/<uuid:job_id>": {"GET": ANY},
    "jobs/<uuid:job_id>/events": {"GET": ANY},
    "upload/options": {"GET": ANY},
    "upload/<str:product>": {"POST": "insight:write"},
    "upload/<str:product>/<uuid:upload_id>": {"GET": "insight:read", "DELETE": "insight:write"},
    "upload/<str:product>/init": {"POST": "insight:write"},
    "upload/<str:product>/chunk": {"POST": "insight:write"},
    "upload/<str:product>/finalize": {"POST": "insight:write"},
    "upload/<str:product>/<uuid:upload_id>/chunks/<str:sha256>": {"PUT": "insight:write"},
    "sync/workspace/<str:project>": {"GET": "projects:read"},
    "sync/workspace/<str:project>/missing": {"POST": "projects:write"},
    "sync/workspace/<str:project>/chunks/<str:sha256>": {
        "GET": "projects:read",
        "PUT": "projects:write",
    },
    "sync/workspace/<str:project>/revisions": {"GET": "projects:read", "POST": "projects:write"},
    "sync/workspace/<str:project>/revisions/<int:number>": {"GET": "projects:read"},
    "storage/upload-url": {"GET": "storage:write", "POST": "storage:write"},
    "storage/download-url": {"GET": "storage:read"},
    "storage/files": {"GET": "storage:read"},
    "storage/files/<uuid:file_id>": {"GET": "storage:read", "DELETE": "storage:write"},
    "storage/stats": {"GET": "storage:read"},
    "storage/multipart/init": {"POST": "storage:write"},
    "storage/multipart/part": {"POST": "storage:write"},
    "storage/multipart/complete": {"POST": "storage:write"},
    "storage/multipart/abort": {"POST": "storage:write"},
    "exports": {"GET": "projects:admin", "POST": "projects:admin"},
    "exports/<uuid:export_id>": {"GET": "projects:admin"},
    "insight/runs": {"GET": "insight:read"},
    "insight/runs/<uuid:run_id>": {"GET": "insight:read"},
    "insight/runs/<uuid:run_id>/payload": {"GET": "insight:read"},
    "insight/runs/<uuid:run_id>/issues": {"GET": "insight:read"},
    "insight/runs/<uuid:run_id>/diff": {"GET": "insight:read"},
    "insight/issues": {"GET": "insight:read"},
    "insight/issues/<int:issue_id>": {"GET": "insight:read"},
    "insight/issues/<int:issue_id>/runs": {"GET": "insight:read"},
    "autopilot/runs": {"GET": "autopilot:read"},
    "autopilot/runs/<uuid:cycle_id>": {"GET": "autopilot:read"},
    "autopilot/runs/<uuid:cycle_id>/payload": {"GET": "autopilot:read"},
    "autopilot/trust": {"GET": "autopilot:read"},
    "autopilot/documents": {"GET": "autopilot:read"},
    "autopilot/documents/<str:document_type>": {"GET": "autopilot:read"},
    "guardian/tests": {"GET": "guardian:read"},
    "guardian/tests/<uuid:test_id>": {"GET": "guardian:read"},
    "guardian/tests/<uuid:test_id>/payload": {"GET": "guardian:read"},
    "guardian/tests/<uuid:test_id>/reports/<str:report_type>": {"GET": "guardian:read"},
    "guardian/screenshots": {"GET": "guardian:read"},
    "guardian/screenshots/<uuid:screenshot_id>/content": {"GET": "guardian:read"},
}
"""By address below ``/api/v1/``; where a product is part of it, the scope for Insight."""

CALLS = [(method, route, scope) for route, by in SCOPES.items() for method, scope in by.items()]


def views() -> Iterator[tuple[str, Any]]:
    for pattern, prefix in _patterns(get_resolver(), ""):
        yield prefix + str(pattern.pattern), pattern.callback


def _patterns(resolver: Any, prefix: str) -> Iterator[tuple[Any, str]]:
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _patterns(pattern, prefix + str(pattern.pattern))
        else:
            yield pattern, prefix


def call(api: Api, method: str, route: str, known: dict[str, Any], **headers: str) -> Any:
    body = None if method in ("GET", "DELETE") else {}
    return api.send(method, filled(route, known), body, **headers)


def key_with(person: Person, *scopes: str) -> Api:
    return Api(create_api_key(by=person.principal, name="k", scopes=scopes)[1])


# ── Scopes ───────────────────────────────────────────────────────────────────


def test_every_method_of_every_address_has_an_entry() -> None:
    found = {
        route.removeprefix("api/v1/"): {
            method for method in HTTP_METHODS if hasattr(callback.cls, method.lower())
        }
        for route, callback in views()
        if route.startswith("api/v1/") and route not in PUBLIC
    }
    assert found == {route: set(methods) for route, methods in SCOPES.items()}
    others = {route for route, _ in views() if route.startswith("api/")}
    assert {route for route in others if not route.startswith("api/v1/")} | {
        route for route in PUBLIC if route.startswith("api/v1/")
    } == PUBLIC


def just_short_of(scope: str) -> list[str]:
    """Everything but ``scope`` and what implies it."""
    area, level = scope.split(":")
    lower = [f"{area}:{each}" for each in LEVELS[: LEVELS.index(level)]]
    return [f"{other}:admin" for other in AREAS if other != area] + lower


def test_a_key_that_lacks_only_the_scope_is_refused(alice: Person, names: Names) -> None:
    keys = {
        scope: key_with(alice, *just_short_of(scope))
        for scope in {each for *_, each in CALLS}
        if scope
    }
    for method, route, scope in CALLS:
        if scope:
            problem(call(keys[scope], method, route, names.theirs), 403, "missing_scope")


def test_a_key_with_the_scope_alone_is_let_in(alice: Person, names: Names) -> None:
    """At addresses of nobody, so that nothing is done."""
    keys = {scope: key_with(alice, scope or "usage:read") for scope in {s for *_, s in CALLS}}
    for method, route, scope in CALLS:
        answer = call(keys[scope], method, route, names.nobodys)
        assert answer.status_code != 401, (method, route)
        if answer.status_code == 403:
            assert answer.json()["code"] != "missing_scope", (method, route)


def test_nobody_is_let_in_without_a_key(anonymous: Api, names: Names) -> None:
    for method, route, _ in CALLS:
        problem(call(anonymous, method, route, names.theirs), 401, "not_authenticated")


# ── Headers that disagree with the key ───────────────────────────────────────


def test_headers_that_name_something_else_are_refused_everywhere(
    alice: Person, charlie: Person, shop: Bound, blog: Bound, names: Names
) -> None:
    """Before anything is looked up or done: in any method, for any object."""
    theirs = create_project(by=charlie.principal, name="Theirs")
    globex = charlie.organization
    wrong: list[tuple[Api, dict[str, str]]] = [
        (api, {"X-Organization-Id": str(name)})
        for api in (alice.api, shop.api)
        for name in (globex.slug, globex.pk, uuid4(), "acm", "Acme")
    ]
    wrong += [
        (shop.api, {"X-Project-Id": str(name)})
        for name in (blog.project.slug, blog.project.pk, theirs.slug, theirs.pk, uuid4(), "Shop")
    ]
    wrong += [
        (alice.api, {"X-Project-Id": str(name)}) for name in (theirs.slug, theirs.pk, uuid4(), "x")
    ]
    wrong.append((shop.api, {"X-Organization-Id": "acme", "X-Project-Id": "blog"}))
    wrong.append((shop.api, {"X-Organization-Id": "globex", "X-Project-Id": "shop"}))
    before = AuditEvent.across_organizations.count()
    for at, (method, route, _) in enumerate(CALLS):
        # Each address meets a few of them, together they meet all.
        for api, headers in wrong[at % 3 :: 3]:
            answer = call(api, method, route, names.theirs, **headers)
            problem(answer, 403, "wrong_scope")
    assert AuditEvent.across_organizations.count() == before


def test_headers_that_agree_change_nothing(alice: Person, shop: Bound, names: Names) -> None:
    acme, project = alice.organization, shop.project
    agreeing = [
        {"X-Organization-Id": acme.slug},
        {"X-Organization-Id": str(acme.pk)},
        {"X-Project-Id": project.slug},
        {"X-Project-Id": str(project.pk)},
        {"X-Project-Id": str(project.pk).upper()},
        {"X-Organization-Id": acme.slug, "X-Project-Id": project.slug},
        {"X-Organization-Id": "", "X-Project-Id": ""},
    ]
    for method, route, _ in CALLS:
        if method == "GET":
            plain = call(shop.api, method, route, names.theirs).status_code
            for headers in agreeing:
                answer = call(shop.api, method, route, names.theirs, **headers)
                assert answer.status_code == plain, (route, headers, answer.content)


# ── Whose rows ───────────────────────────────────────────────────────────────

LISTS: dict[str, tuple[str, ...]] = {
    "projects": ("project_pk",),
    "api-keys": ("key_id",),
    "audit": (),
    "sync/jobs": ("job_id",),
    "storage/files": ("file_id",),
    "exports": ("export_id",),
    "insight/runs": ("run_id",),
    "insight/issues": ("issue",),
    "autopilot/runs": ("cycle_id",),
    "autopilot/trust": (),
    "autopilot/documents": (),
    "guardian/tests": ("test_id",),
    "guardian/screenshots": ("screenshot_id",),
    "sync/workspace/<str:project>/revisions": (),
    "insight/runs/<uuid:run_id>/issues": ("issue",),
    "insight/issues/<int:issue_id>/runs": ("run_id",),
    "auth/whoami": (),
    "upload/options": (),
    "storage/stats": (),
    "storage/upload-url": (),
    "storage/download-url": (),
}
"""What each list must show of what was made for whoever asks."""


def shown_to(api: Api, route: str, known: dict[str, Any], query: str = "") -> str:
    answer = call(api, "GET", route + query, known)
    if answer.streaming:
        return ""
    return str(answer.content.decode())


@pytest.fixture
def two_shops(
    alice: Person, charlie: Person, names: Names
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of both organizations: slugs, run ids, contents and texts are equal."""
    globex = bound_key(charlie, create_project(by=charlie.principal, name="Shop"))
    theirs = one_of_everything(charlie, globex)
    shop = dict(names.theirs)
    for known in (shop, theirs):
        issue = known["issue_id"]
        known["issue"] = f'"id":{issue},'
    shop["project_pk"] = bound_project(alice)
    theirs["project_pk"] = bound_project(charlie)
    return shop, theirs


def bound_project(person: Person) -> str:
    return str(person.organization.projects.get(slug="shop").pk)


def test_every_list_has_an_entry() -> None:
    named = {route for route in SCOPES if "GET" in SCOPES[route] and "<" not in route}
    assert named <= set(LISTS)


def test_lists_show_everything_of_ones_own_and_nothing_of_a_namesake(
    alice: Person,
    charlie: Person,
    blog: Bound,
    two_shops: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    acme, globex = two_shops
    secret = [str(acme[name]) for name in acme if name.endswith("_id") and name != "issue_id"]
    secret += [acme["issue"], acme["project_pk"]]
    foreign = [str(globex[name]) for name in globex if name.endswith("_id") and name != "issue_id"]
    foreign += [globex["issue"], globex["project_pk"]]
    narrowed = Api(alice.token, **{"X-Project-Id": "shop"})
    for route, expected in LISTS.items():
        query = "?project=shop" if route == "insight/issues" else "?limit=200"
        for api in (alice.api, narrowed):
            seen = shown_to(api, route, acme, query)
            assert [name for name in expected if str(acme[name]) not in seen] == [], (route, seen)
            assert [each for each in foreign if each in seen] == [], route
        for api in (charlie.api, blog.api):
            seen = shown_to(api, route, globex, query)
            assert [each for each in secret if each in seen] == [], route
        seen = shown_to(charlie.api, route, globex, query)
        assert [name for name in expected if str(globex[name]) not in seen] == [], (route, seen)


def test_statistics_count_ones_own_alone(
    alice: Person,
    charlie: Person,
    blog: Bound,
    two_shops: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for route in ("/sync/jobs", "/guardian/tests", "/autopilot/runs"):
        empty = blog.api.send("GET", route).json()
        assert empty.get("total", 0) == 0, (route, empty)
        numbers = re.findall(r":\s*([0-9.]+)", json.dumps(empty.get("statistics", {})))
        assert {float(number) for number in numbers} <= {0.0}, (route, empty)
        mine, theirs = (each.api.send("GET", route).json() for each in (alice, charlie))
        assert mine.get("total") == theirs.get("total"), route
        assert mine.get("statistics") == theirs.get("statistics"), route


# ── Roles, on pages ──────────────────────────────────────────────────────────

ORGANIZATION = "<slug:organization_slug>/"
PROJECT = f"{ORGANIZATION}projects/<str:project_slug>/"
PAGES: dict[str, tuple[str, str]] = {
    ORGANIZATION: ("get", "viewer"),
    f"{ORGANIZATION}sync/jobs/": ("get", "viewer"),
    f"{ORGANIZATION}sync/jobs/<uuid:job_id>/": ("post", "admin"),
    PROJECT: ("get", "viewer"),
    f"{PROJECT}runs/": ("get", "viewer"),
    f"{PROJECT}branches/": ("get", "viewer"),
    f"{PROJECT}issues/": ("get", "viewer"),
    f"{PROJECT}issues/triage/": ("post", "member"),
    f"{ORGANIZATION}issues/<int:issue_id>/": ("get", "viewer"),
    f"{ORGANIZATION}runs/<uuid:run_id>/": ("get", "viewer"),
    f"{ORGANIZATION}runs/<uuid:run_id>/payload": ("get", "viewer"),
    f"{ORGANIZATION}autopilot/": ("get", "viewer"),
    f"{ORGANIZATION}autopilot/<uuid:cycle_id>/": ("get", "viewer"),
    f"{ORGANIZATION}autopilot/<uuid:cycle_id>/payload": ("get", "viewer"),
    f"{ORGANIZATION}guardian/": ("get", "viewer"),
    f"{ORGANIZATION}guardian/<uuid:test_id>/": ("get", "viewer"),
    f"{ORGANIZATION}guardian/<uuid:test_id>/payload": ("get", "viewer"),
    f"{ORGANIZATION}guardian/<uuid:test_id>/reports/<str:report_type>": ("get", "viewer"),
    f"{ORGANIZATION}guardian/screenshots/<uuid:screenshot_id>": ("get", "viewer"),
    f"{ORGANIZATION}storage/": ("get", "viewer"),
    f"{ORGANIZATION}storage/<uuid:file_id>/download": ("get", "viewer"),
    f"{ORGANIZATION}storage/<uuid:file_id>/delete": ("post", "admin"),
    f"{ORGANIZATION}export/": ("post", "admin"),
}
"""The method, and the least role for it. The job's type has no handler: its own owner is nobody."""

FORMS = {
    f"{ORGANIZATION}sync/jobs/<uuid:job_id>/": {"action": "cancel"},
    f"{PROJECT}issues/triage/": {"state": "accepted", "issue": "{issue_id}"},
}


def test_every_page_of_an_organization_has_an_entry() -> None:
    found = {route.removeprefix("en/") for route, _ in views() if "organization_slug" in route}
    assert found == set(PAGES)


@pytest.fixture(params=Role.values)
def teammate(request: pytest.FixtureRequest, alice: Person) -> Membership:
    """Somebody of Acme in each role, who owns an organization of their own as well."""
    user = new_user(email="dora@example.com", password=PASSWORD, name="Dora")
    create_organization(name="Initech", owner=user)
    return add_member(user=user, role=request.param, by=alice.membership)


def test_a_role_opens_what_the_table_says(
    client: Any, teammate: Membership, alice: Person, names: Names
) -> None:
    client.force_login(teammate.user)
    powers = ("viewer", "member", "admin", "owner")
    for route, (method, least) in PAGES.items():
        path = "/en" + filled(route, names.theirs, "acme")
        form = {name: text.format_map(names.theirs) for name, text in FORMS.get(route, {}).items()}
        before = written(alice)
        answer = getattr(client, method)(path, form)
        if powers.index(teammate.role) >= powers.index(least):
            assert answer.status_code in (200, 302), (route, answer.status_code)
            assert (written(alice) != before) == (method == "post"), route
        else:
            assert answer.status_code in (403, 404), (route, answer.status_code)
            assert written(alice) == before, route


def written(person: Person) -> tuple[int, int, int]:
    """What a form would change: it is noted, makes a job, or takes a file."""
    organization = person.organization
    return (
        AuditEvent.objects.for_organization(organization).count(),
        Job.objects.for_organization(organization).count(),
        StoredFile.objects.for_organization(organization).count(),
    )


def test_other_methods_of_a_page_do_nothing(alice: Person, names: Names) -> None:
    browser = alice.page()
    for route, (method, _) in PAGES.items():
        path = "/en" + filled(route, names.theirs, "acme")
        for other in {"get", "post", "put", "patch", "delete"} - {method}:
            if method == "get" and route == ORGANIZATION:
                continue  # It reads whatever is asked.
            before = written(alice)
            assert getattr(browser, other)(path).status_code == 405, (other, route)
            assert written(alice) == before


def test_what_a_page_is_given_is_of_the_organization_in_its_address(
    rf: Any, alice: Person, charlie: Person
) -> None:
    seen: list[OrganizationRequest] = []

    @organization_page
    def page(request: OrganizationRequest) -> Any:
        seen.append(request)

    add_member(user=charlie.user, role=Role.VIEWER, by=alice.membership)
    for slug in ("acme", "globex"):
        request = rf.get("/")
        request.user = charlie.user
        page(request, organization_slug=slug)
    assert [each.organization.slug for each in seen] == ["acme", "globex"]
    assert [each.membership.role for each in seen] == ["viewer", "owner"]
    assert [each.principal.may("insight:write") for each in seen] == [False, True]
    assert {each.principal.organization for each in seen} == {
        alice.organization,
        charlie.organization,
    }
