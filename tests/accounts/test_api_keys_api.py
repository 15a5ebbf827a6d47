"""``/api/v1/api-keys``: shown once, bounded by their maker, revoked for good."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import ApiKey, AuditEvent, IdempotencyRecord, Project
from accounts.services import create_api_key, create_project
from odavl.wire.api_keys import is_well_formed
from odavl.wire.scopes import PRESETS
from tests.cast import Api, Person
from tests.problems import problem


def test_a_key_is_shown_once_and_works(alice: Person, website: Project):
    expires = (timezone.now() + timedelta(days=30)).isoformat()
    wanted = {"name": "ci", "preset": "ci", "projectId": "website", "expiresAt": expires}
    made = alice.api.send("POST", "/api-keys", wanted)
    assert made.status_code == 201, made.content
    document = made.json()
    token = document.pop("key")
    assert is_well_formed(token)
    assert document["scopes"] == sorted(PRESETS["ci"])
    assert document["projectId"] == str(website.pk)
    assert document["hint"] == token[-4:]
    assert Api(token).send("GET", "/auth/whoami").json()["key"]["name"] == "ci"
    shown = alice.api.send("GET", f"/api-keys/{document['id']}")
    assert shown.json().keys() == document.keys()
    assert shown.json()["lastUsedAt"] is not None
    assert token not in alice.api.send("GET", "/api-keys").content.decode()


def test_a_revoked_key_is_closed_at_once_and_stays_listed(alice: Person):
    key, token = create_api_key(by=alice.principal, name="old", scopes=["insight:read"])
    for _ in range(2):
        assert alice.api.send("DELETE", f"/api-keys/{key.pk}").status_code == 204
    problem(Api(token).send("GET", "/auth/whoami"), 401, "key_revoked")
    assert alice.api.send("GET", f"/api-keys/{key.pk}").json()["revokedAt"] is not None
    events = AuditEvent.objects.for_organization(alice.organization)
    assert events.filter(action="api_key.revoked").count() == 1


def test_a_stranger_sees_and_revokes_no_key(alice: Person, charlie: Person):
    for method in ("GET", "DELETE"):
        problem(charlie.api.send(method, f"/api-keys/{alice.key.pk}"), 404, "not_found")
    assert alice.api.send("GET", "/auth/whoami").status_code == 200


def test_a_member_manages_no_keys(bob: Person):
    problem(bob.api.send("GET", "/api-keys"), 403, "missing_scope")
    problem(bob.api.send("POST", "/api-keys", {"name": "x", "preset": "ci"}), 403, "missing_scope")


def test_no_key_grants_more_than_its_maker_has(alice: Person, website: Project):
    create_project(by=alice.principal, name="Other")
    expires = timezone.now() + timedelta(days=1)
    _, token = create_api_key(
        by=alice.principal,
        name="narrow",
        scopes=["projects:admin", "insight:write"],
        project=website,
        expires_at=expires,
    )
    api = Api(token)
    wanted = {"name": "x", "scopes": ["insight:admin"]}
    problem(api.send("POST", "/api-keys", wanted), 403, "missing_scope")
    problem(api.send("POST", "/api-keys", {"name": "x", "preset": "all"}), 403, "missing_scope")
    fitting = {"name": "x", "scopes": ["insight:read", "insight:write"]}
    problem(api.send("POST", "/api-keys", {**fitting, "projectId": "other"}), 403, "wrong_scope")
    later = {**fitting, "expiresAt": (expires + timedelta(hours=1)).isoformat()}
    problem(api.send("POST", "/api-keys", later), 422, "invalid_payload", pointer="/expiresAt")
    made = api.send("POST", "/api-keys", fitting).json()
    assert made["projectId"] == str(website.pk)
    assert made["expiresAt"] == expires.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"name": "x"}, "/scopes"),
        ({"name": "x", "scopes": [], "preset": "ci"}, "/scopes"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["insight:read", "insight:fly"]}, "/scopes/1"),
        ({"name": "x", "scopes": "all"}, "/scopes"),
        ({"name": "x", "preset": "root"}, "/preset"),
        ({"name": "x", "preset": "ci", "expiresAt": "tomorrow"}, "/expiresAt"),
        ({"name": "x", "preset": "ci", "expiresAt": "2099-01-01T00:00:00"}, "/expiresAt"),
        ({"name": "x", "preset": "ci", "expiresAt": "2099-02-31T00:00:00Z"}, "/expiresAt"),
        ({"name": "x", "preset": "ci", "expiresAt": "9999-12-31T23:59:59-14:00"}, "/expiresAt"),
        ({"name": "x", "preset": "ci", "expiresAt": "2001-01-01T00:00:00Z"}, "/expiresAt"),
    ],
)
def test_a_document_that_does_not_fit_is_told_where(alice: Person, document, pointer):
    answer = alice.api.send("POST", "/api-keys", document)
    problem(answer, 422, "invalid_payload", pointer=pointer)


def test_a_key_for_a_project_that_is_not_there_is_not_made(alice: Person, charlie: Person):
    foreign = create_project(by=charlie.principal, name="Foreign")
    for name in (str(foreign.pk), "foreign", "nowhere"):
        wanted = {"name": "x", "preset": "ci", "projectId": name}
        problem(alice.api.send("POST", "/api-keys", wanted), 404, "not_found")


def test_the_same_request_again_gives_the_same_key_which_the_database_does_not_hold(alice: Person):
    wanted = {"name": "once", "preset": "ci"}
    first = alice.api.send("POST", "/api-keys", wanted, **{"Idempotency-Key": "k1"})
    again = alice.api.send("POST", "/api-keys", wanted, **{"Idempotency-Key": "k1"})
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again["Idempotent-Replayed"] == "true"
    assert ApiKey.objects.for_organization(alice.organization).filter(name="once").count() == 1
    record = IdempotencyRecord.objects.for_organization(alice.organization).get()
    assert first.json()["key"].encode() not in bytes(record.body)
    assert b"once" not in bytes(record.body)


def test_another_key_cannot_have_the_answer_replayed(alice: Person):
    _, other = create_api_key(by=alice.principal, name="other", scopes=sorted(PRESETS["all"]))
    wanted = {"name": "once", "preset": "ci"}
    alice.api.send("POST", "/api-keys", wanted, **{"Idempotency-Key": "k1"})
    answer = Api(other).send("POST", "/api-keys", wanted, **{"Idempotency-Key": "k1"})
    problem(answer, 422, "idempotency_mismatch")
