"""``/api/v1/sync/workspace``: what it takes, what it refuses, and who may."""

from __future__ import annotations

import gzip
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, Project
from accounts.services import create_api_key, create_project
from jobs.registry import periodic_tasks
from odavl.wire import limits
from odavl.wire.encoding import sha256_hex
from storage.models import StoredObject
from tests.cast import Api, Person
from tests.workspaces.pushes import BASE, commit, fetched, listed, pushed, put
from workspaces import services
from workspaces.models import Revision, WorkspaceContent

FILES = {"ledger/run-1.json": b'{"run": 1}', "history.json": b"[]", "empty.json": b""}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(alice: Person, website: Project) -> Api:
    return alice.api


def missing(api: Api, *contents: bytes) -> list[str]:
    chunks = [{"sha256": sha256_hex(content), "size": len(content)} for content in contents]
    answer = api.send("POST", f"{BASE}/missing", {"chunks": chunks})
    assert answer.status_code == 200, answer.content
    told: list[str] = answer.json()["missing"]
    return told


def head(api: Api) -> Any:
    return api.send("GET", BASE).json()


def later(hours: float) -> None:
    """Everything has been there so much longer."""
    by = timedelta(hours=hours)
    for row in WorkspaceContent.across_organizations.exclude(held_until=None):
        row.held_until -= by
        row.save()
    for stored in StoredObject.across_organizations.all():
        StoredObject.across_organizations.filter(pk=stored.pk).update(
            created_at=stored.created_at - by
        )


def test_before_the_first_push_there_is_revision_0(api: Api, website: Project) -> None:
    told = head(api)
    assert (told["revision"], told["files"], told["id"]) == (0, [], "")
    assert told["projectId"] == str(website.pk)
    assert api.send("GET", f"{BASE}/revisions").json() == {"items": [], "total": 0}


def test_what_was_pushed_is_read_by_a_teammate(api: Api, bob: Person) -> None:
    told = pushed(api, FILES)
    assert (told["revision"], told["machine"], told["fileCount"]) == (1, "laptop", 3)
    found = head(bob.api)
    assert {file["path"] for file in found["files"]} == set(FILES)
    assert (found["id"], found["pushedBy"]) == (told["id"], "alice@example.com")
    for content in FILES.values():
        if content:
            assert fetched(bob.api, sha256_hex(content)) == (200, content)
    again = api.send("GET", f"{BASE}/revisions/1").json()
    assert again == found
    event = AuditEvent.across_organizations.get(action="workspace.pushed")
    assert (event.target, event.details["revision"]) == ("website", 1)


def test_a_push_names_what_it_lacks_and_only_that(api: Api) -> None:
    one, two = FILES["history.json"], FILES["ledger/run-1.json"]
    assert missing(api, one, two, one) == [sha256_hex(one), sha256_hex(two)]
    assert put(api, one).status_code == 201
    assert put(api, one).status_code == 200
    assert missing(api, one, two) == [sha256_hex(two)]
    answer = commit(api, [listed(path, content) for path, content in FILES.items()])
    assert (answer.status_code, answer.json()["code"]) == (409, "chunks_missing")
    assert answer.json()["missing"] == [sha256_hex(two)]
    assert not Revision.across_organizations.exists()


def test_gzip_on_the_way_in_and_out(api: Api) -> None:
    content = b"x" * 100_000
    sent = put(api, gzip.compress(content), sha256_hex(content), **{"Content-Encoding": "gzip"})
    assert (sent.status_code, sent.json()["size"]) == (201, 100_000)
    name = sha256_hex(content)
    answer = api.get(f"/api/v1{BASE}/chunks/{name}", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert gzip.decompress(b"".join(answer.streaming_content)) == content
    assert fetched(api, name) == (200, content)


@pytest.mark.parametrize(
    ("content", "name", "headers", "refusal"),
    [
        (b"other", "0" * 64, {}, (422, "digest_mismatch")),
        (b"", sha256_hex(b""), {}, (422, "invalid_payload")),
        (b"no gzip", "0" * 64, {"Content-Encoding": "gzip"}, (400, "malformed_gzip")),
        (b"x", "0" * 64, {"Content-Encoding": "br"}, (415, "unsupported_media_type")),
        (b"x" * (limits.CHUNK_SIZE + 1), "0" * 64, {}, (413, "payload_too_large")),
        (gzip.compress(b"x" * (limits.CHUNK_SIZE + 1)), "0" * 64,
         {"Content-Encoding": "gzip"}, (413, "payload_too_large")),
    ],
    ids=["digest", "empty", "no-gzip", "br", "too-large", "bomb"],
)  # fmt: skip
def test_a_chunk_that_cannot_be(
    api: Api, content: bytes, name: str, headers: dict[str, str], refusal: tuple[int, str]
) -> None:
    answer = put(api, content, name, **headers)
    assert (answer.status_code, answer.json()["code"]) == refusal
    assert not StoredObject.across_organizations.exists()


@pytest.mark.parametrize(
    "path",
    [
        "../up", "a/../../up", "/etc/passwd", "C:\\x", "a\\b", "a\x00b", "a\nb", "\u202egnp.exe",
        "", "a//b", "a/", ".hidden", "a/.git/config", "project.json", "sync-state.json",
        "credentials.json", "nul", "ledger/COM1.json", "dot.", "space ", "x" * 181, "a/" * 16 + "b",
        "history.conflict-desk-r3.json",
    ],
)  # fmt: skip
def test_paths_that_lead_elsewhere_are_refused_with_a_pointer(api: Api, path: str) -> None:
    put(api, b"x")
    answer = commit(api, [listed("good.json", b"x"), listed(path, b"x")])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_payload")
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/files/1/path"]
    assert not Revision.across_organizations.exists()


@pytest.mark.parametrize(
    "paths",
    [("a", "a"), ("Run.json", "run.json"), ("a", "a/b"), ("a/b", "A/c"), ("a/b", "A"),
     ("e\u0301", "\u00e9"), ("ß", "ss")],
)  # fmt: skip
def test_names_that_are_one_on_some_file_system_clash(api: Api, paths: tuple[str, str]) -> None:
    put(api, b"x")
    for first, second in (paths, paths[::-1]):
        answer = commit(api, [listed(first, b"x"), listed(second, b"x")])
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/files/1/path"


@pytest.mark.parametrize(
    "change",
    [{"size": 7}, {"size": -1}, {"sha256": "x"}, {"chunks": [{"sha256": "0" * 64, "size": 2}]},
     {"size": limits.CHUNK_SIZE + 1}, {"size": limits.MAX_WORKSPACE_FILE_SIZE + 1},
     {"path": None}, {"chunks": 1}],
    ids=str,
)  # fmt: skip
def test_sizes_and_types_that_do_not_fit(api: Api, change: dict[str, Any]) -> None:
    put(api, b"x")
    answer = commit(api, [{**listed("a.json", b"x"), **change}])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_payload")


def test_too_many_files_and_too_many_bytes(api: Api) -> None:
    many = [listed(f"f{number}", b"") for number in range(limits.MAX_WORKSPACE_FILES + 1)]
    assert commit(api, many).status_code == 413
    size = limits.MAX_WORKSPACE_FILE_SIZE
    huge = [{"path": f"f{n}", "sha256": "0" * 64, "size": size} for n in range(11)]
    assert commit(api, huge).status_code == 413


def test_a_file_in_chunks_must_be_what_they_make(api: Api) -> None:
    content = b"0123456789" * 10
    for at in range(0, 100, 40):
        put(api, content[at : at + 40])
    wrong = {**listed("big.bin", content, 40), "sha256": "0" * 64}
    answer = commit(api, [wrong])
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert commit(api, [listed("big.bin", content, 40)]).status_code == 201
    (file,) = head(api)["files"]
    assert [chunk["size"] for chunk in file["chunks"]] == [40, 40, 20]


def test_who_comes_second_is_told_the_revision(api: Api, bob: Person) -> None:
    pushed(api, FILES)
    answer = commit(bob.api, [listed("history.json", FILES["history.json"])])
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert answer.json()["errors"] == [
        {"pointer": "/baseRevision", "code": "conflict", "detail": "1"}
    ]
    assert answer.json()["retryable"] is False
    assert head(api)["revision"] == 1


def test_the_same_commit_again_answers_the_same(api: Api) -> None:
    put(api, b"x")
    files = [listed("a.json", b"x")]
    first = commit(api, files, **{"Idempotency-Key": "k"})
    second = commit(api, files, **{"Idempotency-Key": "k"})
    assert (first.status_code, second["Idempotent-Replayed"]) == (201, "true")
    assert first.json() == second.json()
    assert commit(api, [], **{"Idempotency-Key": "k"}).json()["code"] == "idempotency_mismatch"
    assert Revision.across_organizations.count() == 1


def test_nothing_new_makes_no_revision(api: Api) -> None:
    first = pushed(api, FILES)
    files = [listed(path, content) for path, content in reversed(FILES.items())]
    assert commit(api, files, base=1).json() == first


def test_a_stranger_learns_nothing(api: Api, charlie: Person) -> None:
    pushed(api, FILES)
    name = sha256_hex(FILES["history.json"])
    for method, path, body in (
        ("GET", BASE, None),
        ("GET", f"{BASE}/revisions", None),
        ("GET", f"{BASE}/revisions/1", None),
        ("GET", f"{BASE}/chunks/{name}", None),
        ("POST", f"{BASE}/missing", {"chunks": []}),
        ("POST", f"{BASE}/revisions", {"baseRevision": 0, "machine": "x", "files": []}),
    ):
        answer = charlie.api.send(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert put(charlie.api, b"x").status_code == 404


def test_what_another_project_has_is_neither_told_nor_given(api: Api, alice: Person) -> None:
    """Kept once, and yet: whoever knows the name of a content has not the content."""
    pushed(api, FILES)
    create_project(by=alice.principal, name="Shop")
    content = FILES["history.json"]
    other = "/sync/workspace/shop"
    chunks = {"chunks": [{"sha256": sha256_hex(content), "size": len(content)}]}
    assert api.send("POST", f"{other}/missing", chunks).json()["missing"] == [sha256_hex(content)]
    assert fetched(api, sha256_hex(content), other) == (404, "not_found")
    before = StoredObject.across_organizations.count()
    assert put(api, content, base=other).status_code == 201
    assert StoredObject.across_organizations.count() == before
    assert fetched(api, sha256_hex(content), other) == (200, content)


@pytest.mark.parametrize("preset", ["ci", "read-only"])
def test_keys_that_only_read_projects_pull_and_do_not_push(
    api: Api, alice: Person, preset: str
) -> None:
    pushed(api, FILES)
    scopes = ("projects:read", "insight:write") if preset == "ci" else ("projects:read",)
    _, token = create_api_key(by=alice.principal, name=preset, scopes=scopes)
    reader = Api(token)
    assert head(reader)["revision"] == 1
    assert fetched(reader, sha256_hex(FILES["history.json"]))[0] == 200
    for answer in (
        put(reader, b"x"),
        commit(reader, [], base=1),
        reader.send("POST", f"{BASE}/missing", {"chunks": []}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


def test_a_key_of_another_project_sees_nothing(api: Api, alice: Person) -> None:
    pushed(api, FILES)
    shop = create_project(by=alice.principal, name="Shop")
    _, token = create_api_key(
        by=alice.principal, name="shop", scopes=("projects:write",), project=shop
    )
    assert Api(token).send("GET", BASE).status_code == 404
    assert Api(token).send("GET", "/sync/workspace/shop").json()["revision"] == 0


def test_revisions_are_numbered_and_old_ones_go_with_what_only_they_had(api: Api) -> None:
    count = services.KEPT_REVISIONS + 3
    contents = [f"content {number}".encode() for number in range(count)]
    for number, content in enumerate(contents):
        pushed(api, {"same.json": b"same", "changes.json": content}, base=number)
    assert WorkspaceContent.across_organizations.filter(in_head=True).count() == 2
    later(48)
    services.clean_up()
    page = api.send("GET", f"{BASE}/revisions?limit=200").json()
    assert [item["revision"] for item in page["items"]] == list(range(count, 3, -1))
    assert api.send("GET", f"{BASE}/revisions/3").status_code == 404
    for number, content in enumerate(contents, start=1):
        expected = (200, content) if number > 3 else (404, "not_found")
        assert fetched(api, sha256_hex(content)) == expected, number
    assert fetched(api, sha256_hex(b"same")) == (200, b"same")
    kept = {stored.sha256 for stored in StoredObject.across_organizations.all()}
    assert kept.isdisjoint({sha256_hex(content) for content in contents[:3]})
    assert len(kept) == 1 + 2 * services.KEPT_REVISIONS


def test_what_comes_back_is_no_new_content(api: Api) -> None:
    pushed(api, {"a.json": b"one"})
    pushed(api, {"a.json": b"two"}, base=1)
    assert missing(api, b"one") == []
    pushed(api, {"a.json": b"one"}, base=2)
    row = WorkspaceContent.across_organizations.get(stored__sha256=sha256_hex(b"one"))
    assert (row.in_head, row.dropped_in) == (True, None)


def test_a_push_under_way_is_not_cleaned_up_and_an_abandoned_one_is(api: Api) -> None:
    put(api, b"mine")
    later(23)
    services.clean_up()
    assert missing(api, b"mine") == []  # and this holds it for another day
    later(23)
    services.clean_up()
    assert commit(api, [listed("a.json", b"mine")]).status_code == 201
    put(api, b"abandoned")
    later(48)
    services.clean_up()
    services.clean_up()
    names = {stored.sha256 for stored in StoredObject.across_organizations.all()}
    assert sha256_hex(b"mine") in names
    assert sha256_hex(b"abandoned") not in names


def test_clean_up_is_scheduled() -> None:
    assert "workspaces.clean_up" in [task.name for task in periodic_tasks()]


def test_a_project_that_goes_takes_its_workspace_along(api: Api, website: Project) -> None:
    pushed(api, FILES)
    website.delete()
    assert not WorkspaceContent.across_organizations.exists()
    StoredObject.across_organizations.update(created_at=timezone.now() - timedelta(days=2))
    services.clean_up()
    assert not StoredObject.across_organizations.exists()
