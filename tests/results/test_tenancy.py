"""Who sees which row: by organization, by the project of a key, by scope, in API and on pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from accounts import exports
from accounts.models import Project
from accounts.services import create_api_key
from tests.cast import Api, Person
from tests.problems import problem
from tests.results.products import BOTH, Product


@pytest.fixture
def other(alice: Person) -> Project:
    """A second project of Acme."""
    made = alice.api.send("POST", "/projects", {"name": "Other"})
    assert made.status_code == 201, made.content
    project: Project = Project.objects.for_organization(alice.organization).get(slug="other")
    return project


def bound(alice: Person, product: Product, project: Project, scope: str = "write") -> Api:
    """A key that is bound to a project."""
    scopes = (f"{product.room}:{scope}",)
    _, token = create_api_key(by=alice.principal, name="bound", scopes=scopes, project=project)
    return Api(token)


def narrowed(alice: Person, product: Product, project: Project) -> Api:
    """A key of the whole organization that a header narrows to a project."""
    scopes = (f"{product.room}:write",)
    _, token = create_api_key(by=alice.principal, name="narrowed", scopes=scopes)
    return Api(token, **{"X-Project-Id": project.slug})


HELD = pytest.mark.parametrize("held", [bound, narrowed])


def addresses(product: Product, row: str) -> list[str]:
    """Every address of one row in the API."""
    reports = ["/reports/accessibility-report"] if product.room == "guardian" else []
    return [product.path(row, rest) for rest in ("", "/payload", *reports)]


@BOTH
def test_a_stranger_finds_what_never_was(alice: Person, charlie: Person, product: Product) -> None:
    row = product.id_of(product.send(alice.api, product.document()))
    if product.room == "guardian":
        product.send(alice.api, {"score": 1}, "accessibility-report", testRunId="one")
    never = [product.path(str(uuid4()), rest) for rest in ("", "/payload")]
    for path in addresses(product, row):
        assert alice.api.send("GET", path).status_code == 200
        strange = problem(charlie.api.send("GET", path), 404, "not_found")
        unknown = problem(alice.api.send("GET", never[0]), 404, "not_found")
        assert strange["detail"] == unknown["detail"]
    assert product.list(charlie.api)["total"] == 0
    path = f"/{product.room}/{product.noun}s?project=website"
    problem(charlie.api.send("GET", path), 404, "not_found")


@BOTH
def test_pages_are_those_of_the_organization_in_the_address(
    alice: Person, bob: Person, charlie: Person, anonymous: Api, product: Product
) -> None:
    row = product.id_of(product.send(alice.api, product.document()))
    for rest in ("", f"{row}/", f"{row}/payload"):
        path = f"/en/acme/{product.room}/{rest}"
        assert bob.page().get(path).status_code == 200
        assert charlie.page().get(path).status_code == 404
        assert anonymous.get(path).status_code == 302
    for rest in ("", "payload"):
        assert charlie.page().get(f"/en/globex/{product.room}/{row}/{rest}").status_code == 404
    html = charlie.page().get(f"/en/globex/{product.room}/").content.decode()
    assert row not in html


@BOTH
@HELD
def test_who_is_held_to_a_project_reads_no_other(
    alice: Person,
    website: Project,
    other: Project,
    product: Product,
    held: Callable[[Person, Product, Project], Api],
) -> None:
    ours = product.id_of(product.send(alice.api, product.document("ours")))
    theirs = product.id_of(product.send(alice.api, product.document("theirs"), projectName="Other"))
    api = held(alice, product, website)
    assert product.names(api) == ["ours"]
    assert (
        product.list(api)["statistics"] == product.list(alice.api, "?project=website")["statistics"]
    )
    assert product.names(api, "?project=website") == ["ours"]
    problem(api.send("GET", f"/{product.room}/{product.noun}s?project=other"), 404, "not_found")
    for path in addresses(product, theirs):
        problem(api.send("GET", path), 404, "not_found")
    assert api.send("GET", product.path(ours)).status_code == 200


@BOTH
@HELD
def test_who_is_held_to_a_project_writes_into_no_other(
    alice: Person,
    website: Project,
    other: Project,
    product: Product,
    held: Callable[[Person, Product, Project], Api],
) -> None:
    api = held(alice, product, website)
    refused = product.send(api, product.document(), projectId=str(other.pk))
    assert refused.status_code in (403, 404), refused.content
    product.send(api, product.document())
    [row] = product.rows()
    assert row.project_id == website.pk
    product.send(alice.api, product.document("theirs"), projectName="Other")
    problem(product.send(api, product.document("theirs")), 409, "duplicate")


@BOTH
def test_a_header_may_not_lead_out_of_the_key(
    alice: Person, website: Project, other: Project, product: Product
) -> None:
    api = bound(alice, product, website)
    path = f"/{product.room}/{product.noun}s"
    problem(api.send("GET", path, **{"X-Project-Id": "other"}), 403, "wrong_scope")
    problem(api.send("GET", path, **{"X-Organization-Id": "globex"}), 403, "wrong_scope")
    assert api.send("GET", path, **{"X-Project-Id": str(website.pk)}).status_code == 200


@BOTH
@pytest.mark.parametrize(("scope", "written"), [("read", 403), ("write", 201), ("admin", 201)])
def test_a_scope_opens_what_it_says(
    alice: Person, website: Project, product: Product, scope: str, written: int
) -> None:
    api = bound(alice, product, website, scope)
    assert product.send(api, product.document()).status_code == written
    assert api.send("GET", f"/{product.room}/{product.noun}s").status_code == 200


@BOTH
def test_scopes_of_every_other_room_open_nothing(alice: Person, product: Product) -> None:
    row = product.id_of(product.send(alice.api, product.document()))
    others = {"insight", "autopilot", "guardian"} - {product.room}
    scopes = tuple(f"{room}:admin" for room in sorted(others))
    _, token = create_api_key(by=alice.principal, name="others", scopes=scopes)
    api = Api(token)
    for path in (f"/{product.room}/{product.noun}s", *addresses(product, row)):
        problem(api.send("GET", path), 403, "missing_scope")
    problem(product.send(api, product.document("two")), 403, "missing_scope")
    for upload_type, document in product.beside:
        problem(product.send(api, document, upload_type), 403, "missing_scope")


@BOTH
def test_documents_beside_it_are_of_their_project(
    alice: Person, charlie: Person, website: Project, other: Project, product: Product
) -> None:
    """Each of the kinds in turn, sent into one project, is told to nobody who sees another."""
    names = {"runId": "one", "testRunId": "one"}
    row = product.id_of(product.send(alice.api, product.document()))
    for upload_type, document in product.beside:
        sent = product.send(alice.api, document, upload_type, projectName="Other", **names)
        assert sent.status_code == 201, sent.content
    told = told_beside(product, alice.api, row)
    assert told == []
    for upload_type, document in product.beside:
        product.send(alice.api, document, upload_type, **names)
    assert sorted(told_beside(product, alice.api, row)) == sorted(
        upload_type for upload_type, _ in product.beside
    )
    if product.room == "autopilot":
        for api in (charlie.api, bound(alice, product, other)):
            answer = api.send("GET", "/autopilot/documents?project=website")
            problem(answer, 404, "not_found")


def told_beside(product: Product, api: Api, row: str) -> list[Any]:
    """The types of the documents that the API tells of for Website."""
    if product.room == "guardian":
        return [each["type"] for each in api.send("GET", product.path(row)).json()["reports"]]
    found = api.send("GET", "/autopilot/documents?project=website").json()["items"]
    return [each["type"] for each in found]


@BOTH
def test_an_export_holds_one_organizations_rows(
    alice: Person, charlie: Person, website: Project, product: Product
) -> None:
    product.send(alice.api, product.document("ours"))
    product.send(alice.api, product.document("theirs"), projectName="Other")
    product.send(charlie.api, product.document("strange"))
    [table] = [
        each
        for each in exports.tables(of_project=True)
        if each.name == f"{product.room}-{product.noun}s"
    ]

    def names(project: Project | None) -> list[str]:
        rows = table.rows(alice.organization, project)
        return sorted(getattr(table.show(row), product.column) for row in rows)

    assert names(None) == ["ours", "theirs"]
    assert names(website) == ["ours"]
