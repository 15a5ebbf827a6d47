"""Who may do what on the storage page."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from accounts.models import Role
from accounts.services import add_member, create_user
from storage.models import StoredFile
from tests.cast import Person
from tests.storage.test_files_api import PICTURE, announce, stored

PAGE = "/en/acme/storage/"


def names(html: str) -> set[str]:
    return {name for name in ("bobs.png", "alices.png", "private.png") if f"{name}</bdi>" in html}


def test_the_page_lists_what_its_reader_may_see(alice: Person, bob: Person, charlie: Person):
    stored(alice.api, fileName="alices.png")
    stored(alice.api, fileName="private.png", access="PRIVATE")
    assert names(alice.page().get(PAGE).content.decode()) == {"alices.png", "private.png"}
    assert names(bob.page().get(PAGE).content.decode()) == {"alices.png"}
    assert charlie.page().get(PAGE).status_code == 404


def test_a_download_leads_to_a_signed_address_and_counts(alice: Person, bob: Person):
    file_id = stored(alice.api, fileName="alices.png")
    answer = bob.page().get(f"{PAGE}{file_id}/download")
    assert answer.status_code == 302
    got = bob.api.get(urlsplit(answer["Location"]).path)
    assert b"".join(got.streaming_content) == PICTURE
    assert StoredFile.across_organizations.get().downloads == 1


def test_deleting_needs_a_post_and_the_right_to(alice: Person, bob: Person, charlie: Person):
    file_id = stored(alice.api, fileName="alices.png")
    address = f"{PAGE}{file_id}/delete"
    assert alice.page().get(address).status_code == 405
    assert bob.page().post(address).status_code == 403
    assert charlie.page().post(address).status_code == 404
    viewer = create_user(email="vera@example.com", password="correct horse", name="Vera")
    add_member(user=viewer, role=Role.VIEWER, by=alice.membership)
    browser = bob.page()
    browser.force_login(viewer)
    assert browser.post(address).status_code == 403
    assert "/delete" not in browser.get(PAGE).content.decode()
    assert StoredFile.across_organizations.count() == 1
    assert alice.page().post(address).status_code == 302
    assert StoredFile.across_organizations.count() == 0


@pytest.mark.parametrize("query", ["?sort=colour", "?access=ALL", "?product=x", "?state=deleted"])
def test_a_filter_that_cannot_be_is_a_page_that_says_so(alice: Person, query):
    assert alice.page().get(PAGE + query).status_code == 400


@pytest.mark.parametrize("cursor", ["x", "WyJmIiwiYSIsImIiXQ", "%00"])
@pytest.mark.parametrize("sort", ["-createdAt", "name", "-size"])
def test_a_strange_cursor_shows_the_first_page(alice: Person, cursor, sort):
    stored(alice.api, fileName="alices.png")
    answer = alice.page().get(f"{PAGE}?sort={sort}&cursor={cursor}")
    assert answer.status_code == 200
    assert names(answer.content.decode()) <= {"alices.png"}


def test_a_page_of_files_costs_few_queries(alice: Person, django_assert_max_num_queries):
    for number in range(8):
        announce(alice.api, fileName=f"{number}.png")
    browser = alice.page()
    with django_assert_max_num_queries(14):
        assert browser.get(PAGE).status_code == 200
