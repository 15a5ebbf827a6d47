"""Every request that the client can make: whose it is, with which key, and to which origin."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import pytest

from odavl.hub import account, jobs
from odavl.hub.retry import ONCE
from odavl.hub.transfer import upload as sending
from odavl.hub.transfer.encoding import opened
from odavl.hub.transfer.upload import Receipt, Upload
from odavl.hub.transport import HubClient
from odavl.hub.workspace.remote import Remote
from odavl.wire.envelope import UploadMetadata, UploadOptions, UploadStatus
from odavl.wire.errors import HubUnreachable, NotFound, NotTheHub
from odavl.wire.transfer import Chunk
from odavl.wire.workspace import RevisionSummary
from tests.client.small_hub import (
    TOKEN,
    Fault,
    Handler,
    Reply,
    Seen,
    SmallHub,
    answer,
    json_reply,
)

CONTENT = b"x" * 40_000
CHUNK = Chunk(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
NOISE = os.urandom(300_000)
"""More than an envelope takes, after gzip."""

RECORDS = b'{"diagnostics":{"a.py":[' + b'{"line":1},' * 9_000 + b'{"line":2}]}}'
CHUNKED = UploadOptions(chunk_size=16_384)
Ask = Callable[[HubClient], object]


def upload_of(payload: bytes, options: UploadOptions | None = None, *, wait: bool = False) -> Ask:
    def ask(client: HubClient) -> Receipt:
        with opened(payload, "analysis-results") as content:
            mine = Upload(
                product="insight",
                type="analysis-results",
                payload=content,
                metadata=UploadMetadata(project_name="shop"),
                idempotency_key="key-1",
                organization_id="org-of-the-item",
                project_id="project-of-the-item",
            )
            return sending.send(client, mine, options or UploadOptions(), wait=wait)

    return ask


def remote(step: Callable[[Remote], object]) -> Ask:
    return lambda client: step(Remote(client, "shop"))


@dataclass(frozen=True)
class Request:
    """``repeats``: the same twice does no more than once, so it is tried again."""

    ask: Ask
    seen: tuple[str, ...]
    repeats: bool = True


SYNC = "/api/v1/sync/workspace/shop"
REQUESTS: dict[str, Request] = {
    "account.whoami": Request(account.whoami, ("GET /api/v1/auth/whoami",)),
    "account.projects": Request(account.projects, ("GET /api/v1/projects",)),
    "account.create_project": Request(
        lambda client: account.create_project(client, name="Shop"), ("POST /api/v1/projects",)
    ),
    "account.keys": Request(account.keys, ("GET /api/v1/api-keys",)),
    "account.create_key": Request(
        lambda client: account.create_key(client, name="ci", scopes="ci"),
        ("POST /api/v1/api-keys",),
    ),
    "account.revoke_key": Request(
        lambda client: account.revoke_key(client, "key-2"), ("DELETE /api/v1/api-keys/key-2",)
    ),
    "jobs.jobs": Request(
        lambda client: jobs.jobs(client, project="shop"), ("GET /api/v1/sync/jobs",)
    ),
    "jobs.act": Request(
        lambda client: jobs.act(client, "retry", "job-1"),
        ("POST /api/v1/sync/jobs",),
        repeats=False,
    ),
    "upload.upload_options": Request(sending.upload_options, ("GET /api/v1/upload/options",)),
    "upload.send": Request(upload_of(b"{}"), ("POST /api/v1/upload/insight",)),
    "upload.send raw": Request(upload_of(NOISE), ("POST /api/v1/upload/insight",)),
    "upload.send in chunks": Request(
        upload_of(RECORDS, CHUNKED),
        (
            "POST /api/v1/upload/insight/init",
            "PUT /api/v1/upload/insight/transfer-key-1/chunks/",
            "POST /api/v1/upload/insight/finalize",
        ),
    ),
    "Remote.head": Request(remote(lambda there: there.head()), (f"GET {SYNC}",)),
    "Remote.missing": Request(
        remote(lambda there: there.missing([CHUNK])), (f"POST {SYNC}/missing",), repeats=False
    ),
    "Remote.put": Request(
        remote(lambda there: there.put(CHUNK, CONTENT)), (f"PUT {SYNC}/chunks/{CHUNK.sha256}",)
    ),
    "Remote.get": Request(
        remote(lambda there: there.get(CHUNK)), (f"GET {SYNC}/chunks/{CHUNK.sha256}",)
    ),
    "Remote.commit": Request(
        remote(
            lambda there: there.commit(
                RevisionSummary(project_id="p", revision=0), [], machine="m", key="k"
            )
        ),
        (f"POST {SYNC}/revisions",),
    ),
}
EACH = pytest.mark.parametrize("name", REQUESTS)


@pytest.fixture
def hub(small_hub: SmallHub) -> SmallHub:
    small_hub.chunks[CHUNK.sha256] = CONTENT
    return small_hub


def client_of(hub: SmallHub, *, organization: str | None = None) -> HubClient:
    return HubClient(
        hub.address,
        token=TOKEN,
        organization_id=organization,
        policy=ONCE,
        sleep=lambda _seconds: None,
    )


def asked(hub: SmallHub, name: str, *, organization: str | None = None) -> list[Seen]:
    with client_of(hub, organization=organization) as client:
        REQUESTS[name].ask(client)
    return hub.seen


def test_the_table_has_every_call_there_is() -> None:
    """So that what is added tomorrow is held against these tests as well."""
    calls = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (account, jobs, sending)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
        and "client" in inspect.signature(function).parameters
    }
    calls |= {
        f"Remote.{name}"
        for name, method in vars(Remote).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    assert calls == {name for name in REQUESTS if " " not in name}


@EACH
def test_it_asks_where_it_should(hub: SmallHub, name: str) -> None:
    seen = [f"{each.method} {each.path.partition('?')[0]}" for each in asked(hub, name)]
    wanted = REQUESTS[name].seen
    assert all(any(each.startswith(path) for each in seen) for path in wanted), seen
    assert all(each.startswith(wanted) for each in seen), seen


@EACH
def test_it_carries_the_key_and_the_organization_of_the_sign_in(hub: SmallHub, name: str) -> None:
    for each in asked(hub, name, organization="org-1"):
        assert each.headers["authorization"] == f"Bearer {TOKEN}"
        own = name.startswith("upload.send")
        assert each.headers["x-organization-id"] == ("org-of-the-item" if own else "org-1")
        assert len(each.headers["x-request-id"]) == 32
        assert each.headers["date"].endswith(" GMT")
        assert "cookie" not in each.headers


@EACH
def test_without_one_it_names_no_organization_but_the_items(hub: SmallHub, name: str) -> None:
    """A key from the environment does not say whose it is; what was queued before does."""
    own = name.startswith("upload.send")
    for each in asked(hub, name):
        found = (each.headers.get("x-organization-id"), each.headers.get("x-project-id"))
        assert found == (("org-of-the-item", "project-of-the-item") if own else (None, None)), each


@EACH
def test_a_key_is_in_no_address_and_in_no_body(hub: SmallHub, name: str) -> None:
    for each in asked(hub, name, organization="org-1"):
        assert TOKEN not in each.path
        assert TOKEN.encode() not in each.body
        assert not [
            header
            for header, value in each.headers.items()
            if TOKEN in value and header != "authorization"
        ]


@EACH
def test_what_makes_something_says_so_only_once(hub: SmallHub, name: str) -> None:
    """A POST that is tried again carries the key that makes a second try the same one."""
    request = REQUESTS[name]
    for each in asked(hub, name):
        carries = "idempotency-key" in each.headers
        assert carries == (request.repeats and each.method == "POST"), each.method


@EACH
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_it_elsewhere(hub: SmallHub, name: str, status: int) -> None:
    """Neither a key nor a byte of what was sent: whatever the method, whatever the status."""
    with closing(SmallHub()) as stranger:
        for place in ELSEWHERE:
            hub.faults_anywhere.extend([redirect(status, filled(place, hub, stranger))] * 9)
            with client_of(hub) as client, pytest.raises((NotTheHub, HubUnreachable)):
                REQUESTS[name].ask(client)
            hub.faults_anywhere.clear()
        assert stranger.seen == []


@EACH
def test_a_redirect_within_the_hub_takes_all_of_it_along(hub: SmallHub, name: str) -> None:
    hub.faults_anywhere.append(redirect_to_itself)
    seen = asked(hub, name, organization="org-1")
    before, after = seen[:2]
    assert (before.method, before.path, before.body) == (after.method, after.path, after.body)
    for header in ("authorization", "x-organization-id", "x-project-id", "idempotency-key"):
        assert before.headers.get(header) == after.headers.get(header)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_turns_an_upload_into_a_question_stores_nothing(
    hub: SmallHub, status: int
) -> None:
    hub.faults_anywhere.append(redirect(status, "/api/v1/upload/insight"))
    with client_of(hub) as client, pytest.raises(NotTheHub):
        REQUESTS["upload.send"].ask(client)
    assert hub.runs == []


ELSEWHERE = [
    "http://127.0.0.1:{other}/api/v1/x",
    "//127.0.0.1:{other}/x",
    "https://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "http://127.0.0.1:{port}@127.0.0.1:{other}/x",
    "http://me@127.0.0.1:{port}/x",
    "http://127.0.0.1:{other}\\@127.0.0.1:{port}/x",
]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_no_status_address_takes_the_key_elsewhere(hub: SmallHub, place: str) -> None:
    """The upload is stored all the same: only where to watch it was wrong."""
    hub.takes_later = True
    with closing(SmallHub()) as stranger:
        accepted = {"uploadId": "u", "jobId": "j", "statusUrl": filled(place, hub, stranger)}
        hub.faults.append(answer(json_reply(accepted, 202)))
        with client_of(hub) as client:
            receipt = upload_of(b"{}", wait=True)(client)
        assert receipt == Receipt(upload_id="u", state="processing")
        assert stranger.seen == []


@pytest.mark.parametrize("place", ["/api/v1/upload/insight/u", "{hub}/api/v1/upload/insight/u"])
def test_a_status_address_of_the_hub_is_asked_with_the_key(hub: SmallHub, place: str) -> None:
    accepted = {"uploadId": "u", "jobId": "j", "statusUrl": place.format(hub=hub.address)}
    hub.faults.append(answer(json_reply(accepted, 202)))
    hub.statuses.append(UploadStatus(upload_id="u", state="completed", progress=100, run_id="r"))
    with client_of(hub) as client:
        receipt = upload_of(b"{}", wait=True)(client)
    assert receipt == Receipt(upload_id="u", state="stored", run_id="r")
    assert hub.seen[-1].token == TOKEN


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("listed", ["account.projects", "account.keys"])
def test_no_next_page_takes_the_key_elsewhere(hub: SmallHub, listed: str, place: str) -> None:
    with closing(SmallHub()) as stranger:
        page = {"items": [], "next": filled(place, hub, stranger)}
        hub.faults_anywhere.append(answer(json_reply(page)))
        # "//host" is no address of its own here: it is a path of the hub, which knows none such.
        with client_of(hub) as client, pytest.raises((NotTheHub, NotFound)):
            REQUESTS[listed].ask(client)
        assert stranger.seen == []


@pytest.mark.parametrize("form", ["cursor", "/api/v1/projects?cursor={at}", "{hub}{path}"])
def test_a_next_page_is_read_however_it_is_named(hub: SmallHub, form: str) -> None:
    hub.projects = [{"id": f"p{n}", "slug": f"p{n}", "name": f"P {n}"} for n in range(5)]
    if form != "cursor":
        path = "/api/v1/projects?limit=200&cursor=2"
        following = form.format(at=2, hub=hub.address, path=path)
        page = {"items": hub.projects[:2], "next": following}
        hub.faults_anywhere.append(answer(json_reply(page)))
    with client_of(hub) as client:
        assert [each.id for each in account.projects(client)] == ["p0", "p1", "p2", "p3", "p4"]


def test_a_list_without_an_end_ends(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "MOST_PAGES", 3)
    hub.faults_anywhere.extend([answer(json_reply({"items": [], "next": "again"}))] * 9)
    with client_of(hub) as client, pytest.raises(NotTheHub, match="no end"):
        account.projects(client)
    assert len(hub.seen) == 4


def test_a_key_goes_into_its_own_path_whatever_its_name(hub: SmallHub) -> None:
    """An id is a hub's word, too: it must not lead to another address."""
    hub.faults_anywhere.append(answer(Reply(204)))
    with client_of(hub) as client:
        account.revoke_key(client, "../projects/1?x=#")
    assert hub.seen[0].path == "/api/v1/api-keys/..%2Fprojects%2F1%3Fx%3D%23"


@pytest.mark.parametrize("project", ["../other", "a/b", "a?b", "ü"])
def test_a_project_goes_into_its_own_path_whatever_its_name(hub: SmallHub, project: str) -> None:
    with client_of(hub) as client:
        Remote(client, project).head()
    assert hub.seen[0].path.startswith("/api/v1/sync/workspace/")
    assert hub.seen[0].path.count("/") == 5


def redirect(status: int, place: str) -> Fault:
    return answer(Reply(status, b"", {"Location": place}))


def redirect_to_itself(handler: Handler) -> bool:
    return redirect(307, handler.seen.path)(handler)


def filled(place: str, hub: SmallHub, stranger: SmallHub) -> str:
    port, other = (each.address.rpartition(":")[2] for each in (hub, stranger))
    return place.format(port=port, other=other)
