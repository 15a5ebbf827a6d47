"""What is somebody else's is told from what never was by nothing: at every address there is.

The addresses come from the URL configuration. One with a name in it that this test does not know
fails it, so that no later one goes unlooked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import Project
from accounts.services import create_project
from insight.models import Issue
from jobs.services import enqueue
from odavl.wire.encoding import sha256_hex
from tests.autopilot.ledgers import ledger
from tests.cast import Api, Person
from tests.guardian.results import png, results
from tests.insight.documents import document, envelope, finding
from tests.storage.test_files_api import stored
from tests.tenancy.keys import Bound, bound_key
from tests.transfers.manifests import cut, manifest

PAYLOAD = b'{"diagnostics": {}}'
CONTENT = b"{}"
ADMIN = "operate/"
NO_OBJECT = {
    "storage/signed/<str:ticket>": "a ticket says by itself what it opens",
    "accounts/": "django-allauth's own",
    "__debug__": "not in production",
}
"""Addresses with a part that names no object of an organization."""


@dataclass(frozen=True)
class Names:
    """For each part of an address that names something: what Acme has, and what nobody has."""

    theirs: dict[str, Any]
    nobodys: dict[str, Any]


FIXED = {
    "product": "insight",
    "number": 1,
    "document_type": "recipe-trust",
    "report_type": "lighthouse-report",
    "sha256": sha256_hex(CONTENT),
}


@pytest.fixture
def names(alice: Person, shop: Bound) -> Names:
    """One of everything, in the project Shop."""
    theirs = one_of_everything(alice, shop)
    nobodys = {name: uuid4() for name in theirs} | {
        "project": "nobody",
        "project_slug": "nobody",
        "issue_id": theirs["issue_id"] + 1_000,
    }
    return Names(theirs, nobodys | FIXED)


def one_of_everything(owner: Person, shop: Bound) -> dict[str, Any]:
    """What an address can name, made in the project whose key is ``shop``."""
    api, wanted = shop.api, {"projectId": "shop"}
    run = posted(api, "/upload/insight", envelope(document({"a.py": [finding("a")]})))
    posted(api, "/upload/autopilot", envelope({"r": {"trust": 1}}, "recipe-trust"), (201, 422))
    cycle = posted(api, "/upload/autopilot", envelope(ledger(), "ledger"))
    test = posted(api, "/upload/guardian", envelope(results(), "test-results"))
    about = {"fileName": "home.png", "testRunId": "test-1"}
    posted(api, "/upload/guardian", envelope(png(), "screenshot", metadata=about))
    report = envelope({"scores": {}}, "lighthouse-report", metadata={"testRunId": "test-1"})
    posted(api, "/upload/guardian", report, (201, 422))
    transfer = manifest(PAYLOAD, cut(PAYLOAD, 5), metadata=wanted)
    pushed(api)
    shots = api.send("GET", "/guardian/screenshots").json()["items"]
    issue = Issue.across_organizations.get(stream__project=shop.project)
    job = enqueue(
        organization=owner.organization, job_type="unknown", payload={}, project=shop.project
    )
    return {
        "project": "shop",
        "project_slug": "shop",
        "key_id": bound_key(owner, shop.project).key.pk,
        "job_id": job.pk,
        "upload_id": posted(api, "/upload/insight/init", transfer)["uploadId"],
        "file_id": stored(api, access="PROJECT"),
        "export_id": posted(api, "/exports", {}, (202,))["id"],
        "run_id": run["runId"],
        "issue_id": issue.pk,
        "cycle_id": cycle["runId"],
        "test_id": test["testId"],
        "screenshot_id": shots[0]["id"],
    } | FIXED


def posted(api: Api, path: str, body: Any, status: tuple[int, ...] = (201,)) -> Any:
    answer = api.send("POST", path, body)
    assert answer.status_code in status, answer.content
    return answer.json()


def pushed(api: Api) -> None:
    base = "/sync/workspace/shop"
    name = sha256_hex(CONTENT)
    sent = api.put(f"/api/v1{base}/chunks/{name}", CONTENT, content_type="application/octet-stream")
    assert sent.status_code == 201
    files = [{"path": "history.json", "sha256": name, "size": len(CONTENT)}]
    posted(api, f"{base}/revisions", {"baseRevision": 0, "machine": "m", "files": files})


# ── Every address ────────────────────────────────────────────────────────────


def addresses() -> list[str]:
    """Those in which a part names an object, without the language in front."""
    found = {
        route.removeprefix("en/")
        for route in _routes(get_resolver(), "")
        if re.search(r"<\w+:(?!organization_slug)\w+>", route)
    }
    return sorted(
        route
        for route in found
        if not any(part in route for part in NO_OBJECT) and not route.startswith(ADMIN)
    )


def _routes(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from _routes(pattern, route)


def filled(route: str, names: dict[str, Any], organization: str = "") -> str:
    def value(match: re.Match[str]) -> str:
        name = match["name"]
        return organization if name == "organization_slug" else str(names[name])

    return "/" + re.sub(r"<\w+:(?P<name>\w+)>", value, route)


def told(answer: Any, path: str, names: dict[str, Any]) -> tuple[int, str]:
    """Status and body, but for what is new in each and for what was asked."""
    text = b"".join(answer.streaming_content) if answer.streaming else answer.content
    body = text.decode().replace(path, "PATH")
    body = re.sub(r'"requestId":\s*"[^"]*"', "", body)
    body = re.sub(r"(csrfmiddlewaretoken|csrf-token|nonce|X-CSRFToken)[^>]*>", "", body)
    for name in ("project", "project_slug"):
        body = body.replace(f"/{names[name]}", "/NAME")
    return answer.status_code, re.sub(r"[0-9a-f]{32}", "", body)


API = [route for route in addresses() if route.startswith("api/")]
PAGES = [route for route in addresses() if not route.startswith("api/")]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def test_there_are_addresses() -> None:
    assert len(API) > 20
    assert len(PAGES) > 10


@pytest.mark.parametrize("who", ["elsewhere", "narrowed", "stranger"])
def test_a_key_is_told_the_same_everywhere(
    alice: Person, charlie: Person, blog: Bound, names: Names, who: str
) -> None:
    api = {
        "elsewhere": blog.api,
        "narrowed": Api(alice.token, **{"X-Project-Id": "blog"}),
        "stranger": charlie.api,
    }[who]
    refused = 0
    for route in API:
        for method in METHODS:
            answers = []
            for known in (names.theirs, names.nobodys):
                path = filled(route, known)
                answer = api.send(method, path.removeprefix("/api/v1"), {})
                answers.append(told(answer, path, known))
            theirs, nobodys = answers
            assert theirs == nobodys, (method, route)
            assert theirs[0] not in range(200, 300) or "public" in route, (method, route)
            refused += theirs[0] == 404
    assert refused > 25


IN_BODIES = [
    ("GET", "/storage/upload-url?fileId={file_id}", None),
    ("GET", "/storage/download-url?fileId={file_id}", None),
    ("POST", "/storage/multipart/part", {"fileId": "{file_id}", "partNumber": 1}),
    ("POST", "/storage/multipart/complete", {"fileId": "{file_id}"}),
    ("POST", "/storage/multipart/abort", {"fileId": "{file_id}"}),
    ("POST", "/sync/jobs", {"action": "cancel", "jobId": "{job_id}"}),
    ("GET", "/sync/jobs?project={project}", None),
    ("DELETE", "/sync/jobs?project={project}", None),
    ("POST", "/upload/insight/chunk", {"uploadId": "{upload_id}", "index": 0, "data": ""}),
    ("POST", "/upload/insight/finalize", {"uploadId": "{upload_id}"}),
    ("POST", "/upload/insight", envelope(PAYLOAD, metadata={"projectId": "{project}"})),
    ("POST", "/api-keys", {"name": "k", "preset": "ci", "projectId": "{project}"}),
    ("POST", "/exports", {"projectId": "{project}"}),
    (
        "POST",
        "/storage/upload-url",
        {"fileName": "a", "contentType": "image/png", "size": 1, "projectId": "{project}"},
    ),
    ("GET", "/insight/runs?project={project}", None),
    ("GET", "/insight/issues?project={project}", None),
    ("GET", "/autopilot/runs?project={project}", None),
    ("GET", "/autopilot/trust?project={project}", None),
    ("GET", "/guardian/tests?project={project}", None),
    ("GET", "/guardian/screenshots?project={project}", None),
]


@pytest.mark.parametrize("who", ["elsewhere", "stranger"])
@pytest.mark.parametrize("by", ["slug", "id"])
def test_a_key_is_told_the_same_whatever_it_names(
    charlie: Person, blog: Bound, names: Names, who: str, by: str
) -> None:
    """Names in bodies and in questions."""
    api = {"elsewhere": blog.api, "stranger": charlie.api}[who]
    known = [dict(names.theirs), dict(names.nobodys)]
    if by == "id":
        shop = Project.across_organizations.get(slug="shop")
        known[0]["project"], known[1]["project"] = shop.pk, uuid4()
    for method, path, body in IN_BODIES:
        answers = []
        for each in known:
            filled_body = _filled(body, each)
            answer = api.send(method, path.format_map(each), filled_body)
            answers.append(told(answer, path.format_map(each), each))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] in (400, 403, 404), (method, path, answers[0])


def _filled(body: Any, names: dict[str, Any]) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, names) for key, value in body.items()}
    return body.format_map(names) if isinstance(body, str) and body.startswith("{") else body


def test_a_run_that_another_is_compared_with_is_told_the_same(blog: Bound, names: Names) -> None:
    own = posted(blog.api, "/upload/insight", envelope(document({"b.py": [finding("b")]})))["runId"]
    answers = [
        blog.api.send("GET", f"/insight/runs/{own}/diff?against={known['run_id']}")
        for known in (names.theirs, names.nobodys)
    ]
    assert told(answers[0], own, names.theirs) == told(answers[1], own, names.nobodys)
    assert answers[0].status_code == 404


@pytest.mark.parametrize("organization", ["globex", "acme", "nothing"])
def test_a_person_is_shown_the_same_everywhere(
    charlie: Person, names: Names, organization: str
) -> None:
    """Charlie asks for what Acme has: below an organization of their own, Acme's, and nobody's."""
    browser = charlie.page()
    seen = set()
    for route in PAGES:
        for method in ("get", "post"):
            answers = []
            for known in (names.theirs, names.nobodys):
                path = "/en" + filled(route, known, organization)
                answers.append(told(_asked(browser, method, path), path, known))
            assert answers[0] == answers[1], (method, route)
            assert answers[0][0] in (404, 405), (method, route, answers[0][0])
            seen.add(answers[0])
    assert {status for status, _ in seen} == {404, 405}


def test_a_project_is_not_told_by_its_address(charlie: Person, alice: Person) -> None:
    """One of each organization with the same address is nobody else's."""
    create_project(by=alice.principal, name="Shared name")
    own: Project = create_project(by=charlie.principal, name="Shared name")
    assert charlie.api.send("GET", "/projects/shared-name").json()["id"] == str(own.pk)


def _asked(browser: Client, method: str, path: str) -> Any:
    return getattr(browser, method)(path)
