"""Signing in with e-mail address and password, and what a fresh database needs for it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from tests.cast import PASSWORD, Person


def sign_in(
    email: str, password: str = PASSWORD, language: str = "en", client: Client | None = None
):
    return (client or Client()).post(
        f"/{language}/accounts/login/", {"login": email, "password": password}
    )


@pytest.mark.parametrize("email", ["alice@example.com", "Alice@Example.COM"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_people_land_in_their_organization_in_their_language(alice: Person, email, language):
    answer = sign_in(email, language=language)
    assert answer.status_code == 302
    assert answer["Location"] == f"/{language}/acme/"


def test_a_wrong_password_is_told_without_telling_whether_the_person_exists(alice: Person):
    known = sign_in("alice@example.com", "wrong " + PASSWORD)
    unknown = sign_in("nobody@example.com", "wrong " + PASSWORD)
    assert known.status_code == unknown.status_code == 200
    errors = [answer.context["form"].errors for answer in (known, unknown)]
    assert errors[0] == errors[1]


def test_after_signing_in_one_comes_back_to_where_one_was(alice: Person):
    answer = Client().post(
        "/en/accounts/login/?next=/en/acme/projects/x/",
        {"login": "alice@example.com", "password": PASSWORD},
    )
    assert answer["Location"] == "/en/acme/projects/x/"


def test_no_other_site_is_the_way_back(alice: Person):
    answer = Client().post(
        "/en/accounts/login/?next=https://evil.example/",
        {"login": "alice@example.com", "password": PASSWORD},
    )
    assert answer["Location"] == "/en/acme/"


@pytest.mark.parametrize("is_open", [False, True])
def test_strangers_sign_up_only_where_the_operator_opened_it(db, settings, is_open):
    settings.SIGNUP_OPEN = is_open
    answer = Client().get("/en/accounts/signup/")
    assert (b'name="password1"' in answer.content) is is_open


def test_a_migrated_database_has_the_cache_table(db):
    assert "odavl_cache" in connection.introspection.table_names()
