"""Where people land, and the pages for what goes wrong."""

from __future__ import annotations

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation

from accounts.services import create_project, create_user
from accounts.templatetags.shell import SIDEBAR_PROJECTS
from tests.cast import PASSWORD, Person
from tests.insight.documents import finding, send


def test_a_member_lands_in_their_organization(alice: Person):
    assert alice.page().get("/en/")["Location"] == "/en/acme/"


def test_a_stranger_is_asked_to_sign_in(db):
    assert Client().get("/en/")["Location"] == "/en/accounts/login/?next=/en/"


def test_a_person_without_an_organization_is_told_so(db):
    user = create_user(email="nora@example.com", password=PASSWORD, name="Nora")
    client = Client()
    client.force_login(user)
    page = client.get("/en/").content.decode()
    assert "No organization yet" in page
    assert "nora@example.com" in page


def test_the_side_bar_stays_short_and_names_the_project_at_hand(alice: Person):
    for number in range(SIDEBAR_PROJECTS + 3):
        create_project(by=alice.principal, name=f"Project {number:02}")
    last = f"project-{SIDEBAR_PROJECTS + 2:02}"
    page = alice.page().get(f"/en/acme/projects/{last}/").content.decode()
    side_bar = page[page.index('class="sidebar"') : page.index('class="sidebar-foot"')]
    assert side_bar.count("icon-folder") == SIDEBAR_PROJECTS
    assert f"/en/acme/projects/{last}/issues/" in side_bar


def test_a_project_may_have_an_arabic_name(alice: Person):
    send(alice.api, {"diagnostics": {"a.py": [finding("one")]}}, projectName="متجر الكتب")
    overview = alice.page().get("/ar/acme/").content.decode()
    assert "متجر الكتب" in overview
    address = next(
        part.partition('"')[0] for part in overview.split('href="') if "/projects/" in part
    )
    assert alice.page().get(address).status_code == 200


@pytest.mark.parametrize("template", ["400.html", "500.html"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_pages_for_faults_need_no_request(template, language):
    with translation.override(language):
        page = render_to_string(template)
    assert f'lang="{language}"' in page
    assert 'href="/"' in page


def test_what_does_not_exist_is_a_page_with_a_way_back(alice: Person):
    answer = alice.page().get("/en/acme/projects/nothing/")
    assert answer.status_code == 404
    page = answer.content.decode()
    assert "Nothing is here" in page
    assert 'href="/"' in page
