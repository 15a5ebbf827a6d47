"""Pages of an organization: members in, strangers see nothing, the others sign in first."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from accounts.page_access import organization_page, require_role
from odavl_hub.urls import urlpatterns as real_urls
from tests.cast import Person


@organization_page
def page(request, number):
    who = f"{request.organization.slug} {request.membership.role} {request.principal.user.email}"
    return HttpResponse(f"{number} {who}")


@organization_page
@require_role("admin")
def admins_page(request):
    return HttpResponse("for admins")


urlpatterns = [
    path("t/<slug:organization_slug>/<int:number>", page),
    path("t/<slug:organization_slug>/admins", admins_page),
    *real_urls,
]
pytestmark = pytest.mark.urls(__name__)


def test_a_member_gets_the_page(bob: Person):
    answer = bob.page().get("/t/acme/7")
    assert answer.content == b"7 acme member bob@example.com"


def test_to_a_stranger_it_does_not_exist(alice: Person, charlie: Person):
    for slug in ("acme", "nowhere"):
        assert charlie.page().get(f"/t/{slug}/7").status_code == 404


def test_who_is_not_signed_in_is_sent_there_and_back(alice: Person):
    answer = Client().get("/t/acme/7?tab=new")
    assert answer.status_code == 302
    assert answer["Location"] == "/en/accounts/login/?next=/t/acme/7%3Ftab%3Dnew"


def test_a_role_below_is_refused(alice: Person, bob: Person):
    assert alice.page().get("/t/acme/admins").content == b"for admins"
    assert bob.page().get("/t/acme/admins").status_code == 403


def test_a_person_who_was_deactivated_is_out(bob: Person):
    browser = bob.page()
    bob.user.is_active = False
    bob.user.save()
    assert browser.get("/t/acme/7").status_code == 302
