"""``/api/v1/audit``: who did what."""

from __future__ import annotations

from accounts.services import create_api_key, create_project
from tests.cast import Api, Person
from tests.problems import problem


def test_what_was_done_is_read_newest_first(alice: Person):
    create_project(by=alice.principal, name="Website")
    page = alice.api.send("GET", "/audit?limit=2").json()
    actions = [item["action"] for item in page["items"]]
    assert actions == ["project.created", "api_key.created"]
    assert page["items"][0]["actor"] == "alice@example.com"
    rest = alice.api.send("GET", f"/audit?cursor={page['next']}").json()
    assert [item["action"] for item in rest["items"]] == ["organization.created"]
    found = alice.api.send("GET", "/audit?action=project.created").json()
    assert [item["target"] for item in found["items"]] == ["website"]


def test_a_stranger_reads_only_their_own(alice: Person, charlie: Person):
    targets = {item["target"] for item in charlie.api.send("GET", "/audit").json()["items"]}
    assert targets == {"Globex", "Charlie's key"}


def test_members_and_bound_keys_read_none(alice: Person, bob: Person, website):
    problem(bob.api.send("GET", "/audit"), 403, "missing_scope")
    _, token = create_api_key(
        by=alice.principal, name="bound", scopes=["projects:admin"], project=website
    )
    problem(Api(token).send("GET", "/audit"), 403, "wrong_scope")
