"""The operators' pages: they open, and what services write cannot be changed there."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client

from accounts.models import User
from tests.cast import Person

PAGES = ("user", "organization", "project", "apikey", "auditevent")


@pytest.fixture
def operator(alice: Person) -> Client:
    alice.user.is_staff = alice.user.is_superuser = True
    alice.user.save()
    return alice.page()


@pytest.mark.parametrize("name", PAGES)
def test_lists_and_searches_open(operator: Client, website, name):
    for query in ("", "?q=a"):
        answer = operator.get(f"/en/operate/accounts/{name}/{query}")
        assert answer.status_code == 200


@pytest.mark.parametrize("name", ["apikey", "auditevent"])
def test_what_services_write_is_shown_only(operator: Client, alice: Person, name):
    assert operator.get(f"/en/operate/accounts/{name}/add/").status_code == 403
    model = next(model for model in admin.site._registry if model._meta.model_name == name)
    row = model.across_organizations.first()
    page = operator.get(f"/en/operate/accounts/{name}/{row.pk}/change/")
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert alice.key.digest.encode() not in page.content


def test_an_operator_adds_a_person(operator: Client):
    answer = operator.post(
        "/en/operate/accounts/user/add/",
        {
            "email": "dora@example.com",
            "name": "Dora",
            "usable_password": "true",
            "password1": "a long enough phrase",
            "password2": "a long enough phrase",
        },
    )
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert User.objects.get(email="dora@example.com").check_password("a long enough phrase")


def test_members_who_are_no_operators_stay_out(bob: Person):
    assert bob.page().get("/en/operate/accounts/user/").status_code == 302
