"""Bearer keys: which are taken, which are refused and how, and what that costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.authentication import digest_of_key, key_by_digest
from accounts.models import ApiKey
from accounts.services import create_api_key, create_project, revoke_api_key
from odavl.wire.api_keys import checksum, is_well_formed, new_api_key
from tests.cast import Api, Person
from tests.problems import problem

WHOAMI = "/auth/whoami"


def test_a_key_says_who_it_is(alice: Person):
    answer = alice.api.send("GET", WHOAMI)
    assert answer.status_code == 200
    document = answer.json()
    assert document["user"]["email"] == "alice@example.com"
    assert document["organization"] == {
        "id": str(alice.organization.pk),
        "slug": "acme",
        "name": "Acme",
    }
    assert document["key"]["id"] == str(alice.key.pk)
    assert document["key"]["hint"] == alice.token[-4:]
    assert alice.token not in answer.content.decode()


def test_no_key_is_asked_for_one(anonymous: Api):
    answer = anonymous.send("GET", WHOAMI)
    problem(answer, 401, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer a b",
        "Bearer odavl_key_short",
        "Bearer \x00",
        "Bearer ключ",
    ],
)
def test_a_header_that_holds_no_key_is_refused_without_a_query(anonymous: Api, header):
    with CaptureQueriesContext(connection) as queries:
        answer = anonymous.send("GET", WHOAMI, Authorization=header)
    problem(answer, 401, "not_authenticated")
    assert not queries.captured_queries


def test_one_wrong_character_is_refused_without_a_query(alice: Person):
    for place in range(len("odavl_key_"), len(alice.token)):
        other = "x" if alice.token[place] != "x" else "y"
        mistyped = alice.token[:place] + other + alice.token[place + 1 :]
        assert not is_well_formed(mistyped)
    with CaptureQueriesContext(connection) as queries:
        answer = Api(mistyped).send("GET", WHOAMI)
    problem(answer, 401, "not_authenticated")
    assert not queries.captured_queries


def test_a_well_formed_key_of_another_hub_is_refused(db):
    problem(Api(new_api_key()).send("GET", WHOAMI), 401, "not_authenticated")


def test_a_revoked_key_says_so(alice: Person):
    revoke_api_key(by=alice.principal, key=alice.key)
    answer = alice.api.send("GET", WHOAMI)
    problem(answer, 401, "key_revoked")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_an_expired_key_says_so(alice: Person):
    ApiKey.objects.for_organization(alice.organization).update(expires_at=timezone.now())
    problem(alice.api.send("GET", WHOAMI), 401, "key_expired")


def test_the_database_holds_no_key(alice: Person):
    row = str(ApiKey.across_organizations.values().get(pk=alice.key.pk))
    assert alice.token not in row
    assert alice.token[10:40] not in row


def test_one_query_checks_a_key_that_was_used_just_now(alice: Person):
    api = alice.api
    api.send("GET", "/upload/options")
    with CaptureQueriesContext(connection) as queries:
        assert api.send("GET", "/upload/options").status_code == 200
    statements = [query["sql"] for query in queries.captured_queries]
    assert len(statements) == 1, statements


def test_the_last_use_is_noted_once_a_minute(alice: Person):
    api = alice.api
    api.send("GET", WHOAMI)
    first = _last_used(alice)
    assert timezone.now() - first < timedelta(seconds=30)
    api.send("GET", WHOAMI)
    assert _last_used(alice) == first
    earlier = first - timedelta(seconds=61)
    ApiKey.objects.for_organization(alice.organization).update(last_used_at=earlier)
    api.send("GET", WHOAMI)
    assert _last_used(alice) > first - timedelta(seconds=1)


def _last_used(person: Person):
    return ApiKey.across_organizations.get(pk=person.key.pk).last_used_at


def test_an_organization_header_must_agree_with_the_key(alice: Person, charlie: Person):
    own = str(alice.organization.pk)
    assert alice.api.send("GET", WHOAMI, **{"X-Organization-Id": own}).status_code == 200
    assert alice.api.send("GET", WHOAMI, **{"X-Organization-Id": "acme"}).status_code == 200
    for other in (str(charlie.organization.pk), "globex", "nonsense"):
        answer = alice.api.send("GET", WHOAMI, **{"X-Organization-Id": other})
        problem(answer, 403, "wrong_scope")


def test_a_project_header_must_agree_with_the_key(alice: Person, charlie: Person, website):
    other = create_project(by=alice.principal, name="Other")
    foreign = create_project(by=charlie.principal, name="Foreign")
    _, token = create_api_key(
        by=alice.principal, name="bound", scopes=["projects:read"], project=website
    )
    for name in (str(website.pk), "website"):
        assert Api(token).send("GET", WHOAMI, **{"X-Project-Id": name}).status_code == 200
        assert alice.api.send("GET", WHOAMI, **{"X-Project-Id": name}).status_code == 200
    problem(Api(token).send("GET", WHOAMI, **{"X-Project-Id": str(other.pk)}), 403, "wrong_scope")
    for name in (str(foreign.pk), "foreign", "nul\x00", "nonsense"):
        problem(alice.api.send("GET", WHOAMI, **{"X-Project-Id": name}), 403, "wrong_scope")


def test_a_project_header_narrows_what_an_organizations_key_sees(alice: Person, website):
    create_project(by=alice.principal, name="Other")
    answer = alice.api.send("GET", "/projects", **{"X-Project-Id": "website"})
    assert [item["slug"] for item in answer.json()["items"]] == ["website"]


def test_the_checksum_is_gzips_crc_in_base62():
    # 0xCBF43926 is the check value of CRC-32 for "123456789": 3421780262 = 3jZTTm in base 62.
    number = 0
    for digit in checksum("123456789"):
        number = (
            number * 62
            + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".index(digit)
        )
    assert number == 0xCBF43926


def test_the_written_query_finds_what_the_models_would(alice: Person, website):
    _, bound = create_api_key(
        by=alice.principal, name="bound", scopes=["projects:read"], project=website
    )
    for token in (alice.token, bound):
        digest = digest_of_key(token)
        found = key_by_digest(digest)
        rows = ApiKey.across_organizations.select_related("organization", "project")
        expected = rows.get(digest=digest)
        for field in ApiKey._meta.concrete_fields:
            assert getattr(found, field.attname) == getattr(expected, field.attname)
        with CaptureQueriesContext(connection) as queries:
            assert (found.organization, found.project) == (expected.organization, expected.project)
            assert found.organization.name == expected.organization.name
        assert not queries.captured_queries
    assert key_by_digest("0" * 64) is None
