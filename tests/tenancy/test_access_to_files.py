"""Who may do what to whose file, through every door there is.

A file of the project Shop, uploaded by a key that is bound to it, on one side; whoever asks, on the
other. What each may is written down here a second time, not taken from the code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from accounts.models import Role
from accounts.services import add_member, create_api_key, create_user
from storage.models import StoredFile
from tests.cast import Api, Person
from tests.problems import problem
from tests.storage.test_files_api import PICTURE, announce, send, stored
from tests.tenancy.keys import Bound, bound_key

WRITER = ("storage:write",)
ADMIN = ("storage:admin",)
READER = ("storage:read",)
LEVELS = ("PUBLIC", "ORGANIZATION", "PROJECT", "PRIVATE")
SHARED = {"PUBLIC", "ORGANIZATION"}
IN_PROJECT = SHARED | {"PROJECT"}
ALL = IN_PROJECT | {"PRIVATE"}


@dataclass(frozen=True)
class May:
    read: set[str]
    change: set[str]
    refusal: str = ""
    """The code for what may be read and not changed."""


KEYS: dict[str, May] = {
    "uploader": May(ALL, ALL),
    "project-admin": May(IN_PROJECT, IN_PROJECT),
    "project-writer": May(IN_PROJECT, set(), "missing_scope"),
    "project-reader": May(IN_PROJECT, set(), "missing_scope"),
    "organization-admin": May(ALL, ALL),
    "organization-writer": May(IN_PROJECT, set(), "missing_scope"),
    "organization-reader": May(IN_PROJECT, set(), "missing_scope"),
    "narrowed-to-project": May(IN_PROJECT, IN_PROJECT),
    "narrowed-elsewhere": May(SHARED, set(), "wrong_scope"),
    "elsewhere-admin": May(SHARED, set(), "wrong_scope"),
    "elsewhere-writer": May(SHARED, set(), "wrong_scope"),
    "elsewhere-reader": May(SHARED, set(), "missing_scope"),
    "stranger": May(set(), set()),
}
SESSIONS: dict[str, May] = {
    "owner": May(ALL, ALL),
    "admin": May(ALL, ALL),
    "member": May(IN_PROJECT, set(), "403"),
    "viewer": May(IN_PROJECT, set(), "403"),
    "stranger": May(set(), set()),
}


@pytest.fixture
def uploader(alice: Person, shop: Bound) -> Bound:
    return bound_key(alice, shop.project, *WRITER)


@pytest.fixture
def asking(
    alice: Person, charlie: Person, shop: Bound, blog: Bound, uploader: Bound
) -> Callable[[str], Api]:
    def of_organization(scopes: tuple[str, ...], **headers: str) -> Api:
        return Api(create_api_key(by=alice.principal, name="k", scopes=scopes)[1], **headers)

    def api(who: str) -> Api:
        return {
            "uploader": lambda: uploader.api,
            "project-admin": lambda: bound_key(alice, shop.project, *ADMIN).api,
            "project-writer": lambda: bound_key(alice, shop.project, *WRITER).api,
            "project-reader": lambda: bound_key(alice, shop.project, *READER).api,
            "organization-admin": lambda: of_organization(ADMIN),
            "organization-writer": lambda: of_organization(WRITER),
            "organization-reader": lambda: of_organization(READER),
            "narrowed-to-project": lambda: of_organization(ADMIN, **{"X-Project-Id": "shop"}),
            "narrowed-elsewhere": lambda: of_organization(ADMIN, **{"X-Project-Id": "blog"}),
            "elsewhere-admin": lambda: bound_key(alice, blog.project, *ADMIN).api,
            "elsewhere-writer": lambda: bound_key(alice, blog.project, *WRITER).api,
            "elsewhere-reader": lambda: bound_key(alice, blog.project, *READER).api,
            "stranger": lambda: charlie.api,
        }[who]()

    return api


@pytest.fixture
def browser(alice: Person, bob: Person, charlie: Person) -> Callable[[str], Client]:
    def page(who: str) -> Client:
        if who in ("owner", "member", "stranger"):
            return {"owner": alice, "member": bob, "stranger": charlie}[who].page()
        user = create_user(email=f"{who}@example.com", password="correct horse", name=who)
        add_member(user=user, role=Role(who), by=alice.membership)
        client = Client()
        client.force_login(user)
        return client

    return page


def in_parts(api: Api, level: str) -> str:
    body = {"fileName": "a.png", "contentType": "image/png", "size": len(PICTURE)}
    answer = api.send("POST", "/storage/multipart/init", body | {"access": level})
    assert answer.status_code == 201, answer.content
    return str(answer.json()["fileId"])


CHANGES: dict[str, Callable[[Api, str], Any]] = {
    "delete": lambda api, file_id: api.send("DELETE", f"/storage/files/{file_id}"),
    "part": lambda api, file_id: api.send(
        "POST", "/storage/multipart/part", {"fileId": file_id, "partNumber": 1}
    ),
    "complete": lambda api, file_id: api.send(
        "POST", "/storage/multipart/complete", {"fileId": file_id}
    ),
    "abort": lambda api, file_id: api.send("POST", "/storage/multipart/abort", {"fileId": file_id}),
}
READS: dict[str, Callable[[Api, str], Any]] = {
    "describe": lambda api, file_id: api.send("GET", f"/storage/files/{file_id}"),
    "download": lambda api, file_id: api.send("GET", f"/storage/download-url?fileId={file_id}"),
}


def row_of(file_id: str) -> dict[str, Any]:
    return StoredFile.across_organizations.values().get(pk=file_id)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("who", KEYS)
def test_a_key_reads_what_is_shared_with_it(
    asking: Callable[[str], Api], uploader: Bound, who: str, level: str
) -> None:
    file_id, api = stored(uploader.api, access=level), asking(who)
    may = level in KEYS[who].read
    for name, read in READS.items():
        answer = read(api, file_id)
        assert answer.status_code == (200 if may else 404), (name, answer.content)
    listed = [item["id"] for item in api.send("GET", "/storage/files").json()["items"]]
    assert listed == ([file_id] if may else [])
    assert api.send("GET", "/storage/stats").json()["files"] == len(listed)
    if "storage:write" not in (api.send("GET", "/auth/whoami").json().get("scopes") or ()):
        return
    state = api.send("GET", f"/storage/upload-url?fileId={file_id}")
    assert state.status_code == (200 if may else 404)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("who", KEYS)
def test_a_key_changes_only_what_is_its_own(
    asking: Callable[[str], Api], uploader: Bound, who: str, level: str
) -> None:
    """Both a file that is there and one on its way."""
    api, may = asking(who), KEYS[who]
    for step, change in CHANGES.items():
        for file_id in (stored(uploader.api, access=level), in_parts(uploader.api, level)):
            before = row_of(file_id)
            answer = change(api, file_id)
            if level in may.change:
                assert answer.status_code in (200, 204, 409), (step, answer.content)
                continue
            if "reader" in who:
                problem(answer, 403, "missing_scope")
            elif level in may.read:
                problem(answer, 403, may.refusal)
            else:
                problem(answer, 404, "not_found")
            assert row_of(file_id) == before, step


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("who", KEYS)
def test_a_key_is_told_only_where_its_own_bytes_go(
    asking: Callable[[str], Api], uploader: Bound, who: str, level: str
) -> None:
    announced = announce(uploader.api, access=level).json()
    before, may = row_of(announced["fileId"]), KEYS[who]
    answer = asking(who).send(
        "GET", f"/storage/upload-url?fileId={announced['fileId']}&expiresIn=3600"
    )
    if "reader" in who:
        problem(answer, 403, "missing_scope")
    elif level in may.read:
        told = answer.json()
        assert (told["state"], bool(told["uploadUrl"])) == ("pending", level in may.change)
    else:
        problem(answer, 404, "not_found")
    if level not in may.change:
        assert row_of(announced["fileId"]) == before
    assert send(announced).status_code == 201


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("who", SESSIONS)
def test_a_person_may_what_their_role_may(
    browser: Callable[[str], Client], uploader: Bound, who: str, level: str
) -> None:
    file_id, page, may = stored(uploader.api, access=level), browser(who), SESSIONS[who]
    address = f"/en/acme/storage/{file_id}"
    list_page = page.get("/en/acme/storage/")
    if who == "stranger":
        assert list_page.status_code == 404
    else:
        assert (address in list_page.content.decode()) is (level in may.read)
        assert (f"{address}/delete" in list_page.content.decode()) is (level in may.change)
    assert page.get(f"{address}/download").status_code == (302 if level in may.read else 404)
    before = row_of(file_id)
    deleted = page.post(f"{address}/delete").status_code
    if level in may.change:
        assert deleted == 302
        assert not StoredFile.across_organizations.filter(pk=file_id).exists()
    else:
        assert deleted == (403 if level in may.read else 404)
        assert row_of(file_id) == before


def test_a_key_that_is_narrowed_keeps_to_its_project_with_its_own_files(
    alice: Person, shop: Bound, blog: Bound
) -> None:
    """The same key, with another header, is as one that is bound to the other project."""
    _, token = create_api_key(by=alice.principal, name="k", scopes=ADMIN)
    there, here = (Api(token, **{"X-Project-Id": name}) for name in ("shop", "blog"))
    private, public = stored(there, access="PRIVATE"), stored(there, access="PUBLIC")
    problem(here.send("GET", f"/storage/files/{private}"), 404, "not_found")
    problem(here.send("DELETE", f"/storage/files/{private}"), 404, "not_found")
    problem(here.send("DELETE", f"/storage/files/{public}"), 403, "wrong_scope")
    assert there.send("DELETE", f"/storage/files/{private}").status_code == 204


def test_what_belongs_to_no_project_is_not_changed_by_one(alice: Person, blog: Bound) -> None:
    file_id = stored(alice.api)
    assert blog.api.send("GET", f"/storage/files/{file_id}").status_code == 200
    problem(blog.api.send("DELETE", f"/storage/files/{file_id}"), 403, "wrong_scope")


def test_the_space_of_payloads_is_not_told_to_a_project(alice: Person, blog: Bound) -> None:
    """Whether one more content takes space would tell what the others have."""
    assert blog.api.send("GET", "/storage/stats").json()["payloads"] is None
    assert alice.api.send("GET", "/storage/stats").json()["payloads"]["objects"] == 0
