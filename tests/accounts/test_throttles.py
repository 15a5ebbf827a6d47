"""What every way in and out has in common: where it leads, what it leaves behind, who may pass."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.mail import reset_path
from accounts.models import User
from frame import rate_limits
from tests.cast import PASSWORD, Person

EMAIL = "alice@example.com"
NEW = "a new long phrase"
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "http:///evil.example/",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    " https://evil.example/",
    "\thttps://evil.example/",
    "https://other.example/",
    "%2F%2Fevil.example/",
]


def at_sign_in(alice: Person, target: str):
    form = {"login": EMAIL, "password": PASSWORD, "next": target}
    return Client().post("/en/accounts/login/", form)


def at_sign_in_by_address(alice: Person, target: str):
    form = {"login": EMAIL, "password": PASSWORD}
    return Client().post("/en/accounts/login/", form, query_params={"next": target})


def at_sign_in_when_signed_in(alice: Person, target: str):
    return alice.page().get("/en/accounts/login/", {"next": target})


def at_sign_out(alice: Person, target: str):
    return alice.page().post("/en/accounts/logout/", {"next": target})


def at_the_operators_sign_in(alice: Person, target: str):
    User.objects.update(is_staff=True)
    return alice.page().get("/en/operate/login/", {"next": target})


def at_the_operators_sign_in_from_outside(alice: Person, target: str):
    browser = Client()
    asked = browser.get("/en/operate/login/", {"next": target})
    assert "evil" not in asked["Location"]
    return browser.post(asked["Location"], {"login": EMAIL, "password": PASSWORD})


def at_change_of_password(alice: Person, target: str):
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW, "next": target}
    return alice.page().post("/en/accounts/password/change/", form)


def at_reauthentication(alice: Person, target: str):
    form = {"password": PASSWORD, "next": target}
    return alice.page().post("/en/accounts/reauthenticate/", form)


def at_a_reset(alice: Person, target: str):
    browser = Client()
    form = browser.get(reset_path(alice.user), follow=True).request["PATH_INFO"]
    return browser.post(form, {"password1": NEW, "password2": NEW, "next": target})


def at_asking_for_a_reset(alice: Person, target: str):
    return Client().post("/en/accounts/password/reset/", {"email": EMAIL, "next": target})


THROTTLED_VIEWS = [
    at_sign_in,
    at_sign_in_by_address,
    at_sign_in_when_signed_in,
    at_sign_out,
    at_the_operators_sign_in,
    at_the_operators_sign_in_from_outside,
    at_change_of_password,
    at_reauthentication,
    at_a_reset,
    at_asking_for_a_reset,
]


@pytest.mark.parametrize("door", THROTTLED_VIEWS, ids=lambda door: door.__name__)
def test_no_door_leads_to_another_site(alice: Person, settings, monkeypatch, door):
    # Other hosts that are answered may be other people's.
    settings.ALLOWED_HOSTS = ["testserver", ".example", "*"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://other.example"]
    for number, target in enumerate(ELSEWHERE):
        monkeypatch.setattr(rate_limits, "PREFIX", f"{rate_limits.PREFIX}-{number}")
        User.objects.get(email=EMAIL).delete()
        alice.user.pk = None
        alice.user.set_password(PASSWORD)
        alice.user.save()
        answer = door(alice, target)
        assert answer.status_code == 302, target
        assert answer["Location"].startswith("/"), target
        assert not answer["Location"].startswith(("//", "/\\")), target
        assert "evil" not in answer["Location"].partition("?")[0], target


@pytest.mark.parametrize(
    "door", [at_sign_in, at_sign_in_by_address, at_sign_out], ids=lambda door: door.__name__
)
def test_the_way_back_within_the_site_is_kept(alice: Person, door):
    assert door(alice, "/ar/acme/?a=b")["Location"] == "/ar/acme/?a=b"


@pytest.mark.parametrize("language", ["en", "ar"])
def test_an_operator_comes_back_to_the_page_that_was_asked_for(alice: Person, language):
    User.objects.update(is_staff=True, is_superuser=True)
    page = f"/{language}/operate/accounts/user/?q=a"
    browser = Client()
    form = browser.get(page, follow=True).redirect_chain[-1][0]
    assert form.startswith(f"/{language}/accounts/login/?next=")
    answer = browser.post(form, {"login": EMAIL, "password": PASSWORD})
    assert answer["Location"] == page
    assert browser.get(page).status_code == 200


def test_members_who_are_no_operators_are_told_so(bob: Person):
    browser = Client()
    form = browser.get("/en/operate/", follow=True).redirect_chain[-1][0]
    answer = browser.post(form, {"login": "bob@example.com", "password": PASSWORD}, follow=True)
    assert answer.status_code == 403


def test_the_operators_other_doors_are_the_sites(alice: Person):
    User.objects.update(is_staff=True, is_superuser=True)
    operator = alice.page()
    change = operator.get("/en/operate/password_change/")
    assert change["Location"] == "/en/accounts/password/change/"
    out = operator.post("/en/operate/logout/")
    assert (out.status_code, out["Location"]) == (307, "/en/accounts/logout/")
    assert operator.post(out["Location"]).status_code == 302
    assert "_auth_user_id" not in operator.session


def test_a_session_that_somebody_planted_is_left(alice: Person):
    browser = Client()
    browser.get("/en/accounts/login/")
    session = browser.session
    session["planted"] = True
    session.save()
    browser.cookies["sessionid"] = planted = session.session_key
    browser.post("/en/accounts/login/", {"login": EMAIL, "password": PASSWORD})
    assert browser.cookies["sessionid"].value != planted
    stranger = Client()
    stranger.cookies["sessionid"] = planted
    assert stranger.get("/en/acme/").status_code == 302


def test_signing_out_ends_the_session_on_the_server(alice: Person, website):
    browser = alice.page()
    kept = browser.cookies["sessionid"].value
    assert browser.get("/en/accounts/logout/").status_code == 200, "a link alone signs nobody out"
    assert browser.get("/en/acme/").status_code == 200
    browser.post("/en/accounts/logout/")
    again = Client()
    again.cookies["sessionid"] = kept
    assert again.get("/en/acme/").status_code == 302


def test_a_new_password_ends_the_other_sessions(alice: Person, website):
    here, there = alice.page(), alice.page()
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert here.post("/en/accounts/password/change/", form).status_code == 302
    assert here.get("/en/acme/").status_code == 200
    assert there.get("/en/acme/").status_code == 302


def test_the_sessions_cookie_is_nothing_for_scripts_nor_for_plain_http(alice: Person, settings):
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    browser = Client()
    browser.get("/en/accounts/login/")
    browser.post("/en/accounts/login/", {"login": EMAIL, "password": PASSWORD})
    session, token = browser.cookies["sessionid"], browser.cookies["csrftoken"]
    assert session["httponly"]
    for cookie in (session, token):
        assert cookie["secure"]
        assert cookie["samesite"] == "Lax"


def test_who_is_switched_off_stays_out_and_their_sessions_end(alice: Person, website):
    inside = alice.page()
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    assert inside.get("/en/acme/").status_code == 302
    right = Client().post("/en/accounts/login/", {"login": EMAIL, "password": PASSWORD})
    assert right["Location"] == "/en/accounts/inactive/"
    wrong = Client().post("/en/accounts/login/", {"login": EMAIL, "password": "wrong"})
    nobody = Client().post("/en/accounts/login/", {"login": "no@example.com", "password": "wrong"})
    assert wrong.status_code == nobody.status_code == 200
    assert wrong.context["form"].errors == nobody.context["form"].errors


def test_who_is_switched_off_gets_no_letter_and_no_other_answer(alice: Person, mailoutbox):
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    answer = at_asking_for_a_reset(alice, "")
    assert answer["Location"] == "/en/accounts/password/reset/done/"
    assert not mailoutbox


def test_guesses_at_who_is_switched_off_are_counted(alice: Person):
    User.objects.filter(pk=alice.user.pk).update(is_active=False)
    answers = [
        Client().post("/en/accounts/login/", {"login": EMAIL, "password": PASSWORD}).status_code
        for _ in range(12)
    ]
    assert answers[-1] == 429


def test_doors_are_kept_in_no_cache(alice: Person):
    for path in ("/en/accounts/login/", "/en/accounts/signup/", "/en/accounts/reauthenticate/"):
        assert "no-store" in alice.page().get(path).get("Cache-Control", "no-store"), path


def test_an_operators_spelling_of_an_address_signs_in(alice: Person):
    User.objects.create_user("Dora@Example.com", PASSWORD)
    answer = Client().post(
        "/en/accounts/login/", {"login": "dora@example.com", "password": PASSWORD}
    )
    assert answer.status_code == 302
