"""``/api/v1/projects``: making, finding, changing."""

from __future__ import annotations

import json

import pytest

from accounts.models import AuditEvent, Project
from accounts.services import create_api_key, create_project
from tests.cast import Api, Person
from tests.problems import problem


def test_a_project_is_made_and_found_again_by_id_and_slug(alice: Person):
    wanted = {"name": "Web shop", "gitRemote": "https://example.com/shop.git"}
    made = alice.api.send("POST", "/projects", wanted)
    assert made.status_code == 201, made.content
    document = made.json()
    assert document["slug"] == "web-shop"
    assert document["defaultBranch"] == "main"
    assert document["createdAt"].endswith("Z")
    assert document["url"].endswith("/en/acme/projects/web-shop/")
    for name in (document["id"], "web-shop"):
        assert alice.api.send("GET", f"/projects/{name}").json() == document
    event = AuditEvent.objects.for_organization(alice.organization).get(action="project.created")
    assert event.actor == alice.user
    assert event.actor_key == alice.key
    assert event.ip_address == "127.0.0.1"
    assert event.request_id == made["X-Request-Id"]


def test_letters_of_every_script_make_an_address(alice: Person):
    document = alice.api.send("POST", "/projects", {"name": "متجر الويب"}).json()
    assert document["slug"] == "متجر-الويب"
    answer = alice.api.send("GET", "/projects/متجر-الويب")
    assert answer.json()["id"] == document["id"]


def test_a_name_that_makes_no_slug_still_gets_an_address(alice: Person):
    document = alice.api.send("POST", "/projects", {"name": "!!!"}).json()
    assert document["slug"].startswith("project-")


def test_a_second_project_of_the_same_address_is_a_duplicate(alice: Person, website: Project):
    problem(alice.api.send("POST", "/projects", {"name": "WebSite"}), 409, "duplicate")


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({}, ""),
        ([], ""),
        (None, ""),
        ({"name": ""}, "/name"),
        ({"name": "   "}, "/name"),
        ({"name": 7}, "/name"),
        ({"name": "a" * 101}, "/name"),
        ({"name": "a\x00b"}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": "a", "gitRemote": None}, "/gitRemote"),
        ({"name": "a", "defaultBranch": "a b"}, "/defaultBranch"),
        ({"name": "a", "slug": "mine"}, ""),
    ],
)
def test_a_document_that_does_not_fit_is_told_where(alice: Person, document, pointer):
    answer = alice.api.send("POST", "/projects", json.dumps(document))
    problem(answer, 422, "invalid_payload", pointer=pointer)


def test_a_stranger_sees_no_project(charlie: Person, website: Project):
    for name in (website.pk, "website"):
        problem(charlie.api.send("GET", f"/projects/{name}"), 404, "not_found")
        problem(charlie.api.send("PATCH", f"/projects/{name}", {"name": "mine"}), 404, "not_found")
    assert charlie.api.send("GET", "/projects").json() == {"items": [], "total": 0}
    website.refresh_from_db()
    assert website.name == "Website"


def test_a_reader_may_not_write(alice: Person, website: Project):
    _, token = create_api_key(by=alice.principal, name="reader", scopes=["projects:read"])
    assert Api(token).send("GET", "/projects").status_code == 200
    problem(Api(token).send("POST", "/projects", {"name": "x"}), 403, "missing_scope")
    problem(Api(token).send("PATCH", "/projects/website", {"name": "x"}), 403, "missing_scope")


def test_a_key_without_the_area_may_not_even_read(alice: Person):
    _, token = create_api_key(by=alice.principal, name="insight", scopes=["insight:admin"])
    problem(Api(token).send("GET", "/projects"), 403, "missing_scope")


def test_a_bound_key_makes_no_other_project(alice: Person, website: Project):
    create_project(by=alice.principal, name="Other")
    _, token = create_api_key(
        by=alice.principal, name="bound", scopes=["projects:admin"], project=website
    )
    problem(Api(token).send("POST", "/projects", {"name": "x"}), 403, "wrong_scope")
    problem(Api(token).send("GET", "/projects/other"), 404, "not_found")
    assert Api(token).send("GET", "/projects").json()["total"] == 1


def test_a_change_needs_the_newest_version_where_it_names_one(alice: Person, website: Project):
    shown = alice.api.send("GET", "/projects/website")
    change = {"name": "Site", "gitRemote": "git@example.com:site.git"}
    changed = alice.api.send("PATCH", "/projects/website", change, **{"If-Match": shown["ETag"]})
    assert changed.status_code == 200
    assert changed.json()["name"] == "Site"
    assert changed.json()["slug"] == "website"
    assert changed["ETag"] != shown["ETag"]
    late = alice.api.send(
        "PATCH", "/projects/website", {"name": "Mine"}, **{"If-Match": shown["ETag"]}
    )
    problem(late, 412, "precondition_failed")
    assert alice.api.send("PATCH", "/projects/website", {"defaultBranch": "trunk"}).json() == {
        **changed.json(),
        "defaultBranch": "trunk",
    }


def test_the_list_goes_on_where_it_stopped(alice: Person):
    for number in range(5):
        create_project(by=alice.principal, name=f"Project {number}")
    first = alice.api.send("GET", "/projects?limit=2")
    assert [item["name"] for item in first.json()["items"]] == ["Project 0", "Project 1"]
    assert first.json()["total"] == 5
    assert f"cursor={first.json()['next']}" in first["Link"]
    assert first["Link"].endswith('; rel="next"')
    # One that comes meanwhile, before the place, shifts nothing.
    create_project(by=alice.principal, name="A new one")
    address = first["Link"].split(">")[0].removeprefix("<http://testserver")
    names = [item["name"] for item in alice.api.get(address).json()["items"]]
    assert names == ["Project 2", "Project 3"]
    last = alice.api.send("GET", "/projects?limit=2&offset=5")
    assert [item["name"] for item in last.json()["items"]] == ["Project 4"]
    assert "next" not in last.json()
    assert "Link" not in last


def test_every_order_walks_through_all_projects_once(alice: Person):
    for name in ("b", "a", "c"):
        create_project(by=alice.principal, name=name)
    for order, expected in {
        "name": "abc", "-name": "cba", "createdAt": "bac", "-createdAt": "cab",
    }.items():  # fmt: skip
        found, cursor = "", ""
        while cursor is not None:
            page = alice.api.send("GET", f"/projects?limit=1&sort={order}&cursor={cursor}").json()
            found += "".join(item["name"] for item in page["items"])
            cursor = page.get("next")
        assert found == expected, order


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=201", "/query/limit"),
        ("limit=ten", "/query/limit"),
        ("limit=-1", "/query/limit"),
        ("limit=" + "9" * 5000, "/query/limit"),
        ("limit=٣", "/query/limit"),
        ("offset=-1", "/query/offset"),
        ("offset=99999999999", "/query/offset"),
        ("cursor=!!!", "/query/cursor"),
        ("cursor=AAAA", "/query/cursor"),
        ("cursor=W10", "/query/cursor"),
        ("cursor=WzEsMiwzXQ", "/query/cursor"),
        ("cursor=WyJhIiwibm9uZSJd", "/query/cursor"),
        ("cursor=WyJcdTAwMDAiLCJhIl0", "/query/cursor"),
        ("cursor=WyJhIixudWxsXQ", "/query/cursor"),
        ("sort=size", "/query/sort"),
    ],
)
def test_a_page_that_cannot_be_is_told_why(alice: Person, query, pointer):
    problem(alice.api.send("GET", f"/projects?{query}"), 400, "malformed_request", pointer=pointer)


def test_a_nul_in_the_address_is_no_failure(alice: Person):
    problem(alice.api.send("GET", "/projects?q=%00"), 400, "malformed_request")
    problem(alice.api.send("GET", "/projects/a%00b"), 404, "not_found")


def test_a_page_of_projects_costs_three_queries(alice: Person, django_assert_num_queries):
    for number in range(3):
        create_project(by=alice.principal, name=f"Project {number}")
    api = alice.api
    api.send("GET", "/auth/whoami")
    # The key; how many there are; the page itself with what its addresses need.
    with django_assert_num_queries(3):
        assert len(api.send("GET", "/projects").json()["items"]) == 3
