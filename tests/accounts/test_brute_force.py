"""Guessing is bounded at every door, and keeps nobody out who signed in before."""

from __future__ import annotations

import pytest
from allauth.account import urls as account_urls
from django.test import Client

from accounts import mail
from accounts.authentication import ApiKeyAuthentication
from accounts.brute_force import AT_AN_ADDRESS_FOR_AN_ACCOUNT, FOR_AN_ACCOUNT
from accounts.known_devices import COOKIE
from accounts.mail import reset_path
from accounts.models import AuditEvent, SignInPlace, User
from accounts.throttles import PASSWORD_VIEWS, THROTTLED_VIEWS, UNLIMITED_VIEWS
from frame import rate_limits
from frame.rate_limits import ProcessCounters
from odavl.wire.api_keys import new_api_key
from odavl_hub.checks import api_views
from tests.cast import PASSWORD, Person
from tests.hub_process import free_port

HERE, THERE = "203.0.113.1", "198.51.100.1"
EMAIL = "alice@example.com"
GUESSES = 60
NEW = "another long phrase"


def sign_in(email: str = EMAIL, password: str = PASSWORD, *, client=None, at=HERE, **headers):
    return (client or Client()).post(
        "/en/accounts/login/",
        {"login": email, "password": password},
        REMOTE_ADDR=at,
        headers=headers,
    )


def guess(times: int, email: str = EMAIL, **how) -> list[int]:
    return [sign_in(email, f"wrong {number}", **how).status_code for number in range(times)]


def guess_from_everywhere(email: str = EMAIL) -> None:
    """As many wrong passwords as an account takes, a few from each of many addresses."""
    for number in range(2 * FOR_AN_ACCOUNT[0].amount // 5):
        if guess(5, email, at=f"192.0.2.{number}")[0] == 429:
            return
    raise AssertionError("Guessing from many addresses has no bound.")


def at_login(alice: Person, number: int):
    return sign_in(password=f"wrong {number}")


def at_arabic_login(alice: Person, number: int):
    return Client().post(
        "/ar/accounts/login/", {"login": EMAIL, "password": f"wrong {number}"}, REMOTE_ADDR=HERE
    )


def at_login_of_many_people(alice: Person, number: int):
    return sign_in(f"person{number}@example.com", "wrong")


def at_the_operators_login(alice: Person, number: int):
    return Client().post(
        "/en/operate/login/?next=/en/operate/",
        {"username": EMAIL, "password": f"wrong {number}", "login": EMAIL},
        REMOTE_ADDR=HERE,
        follow=True,
    )


def at_the_operators_login_as_a_browser_goes_on(alice: Person, number: int):
    client = Client(REMOTE_ADDR=HERE)
    where = client.get("/en/operate/", follow=True).redirect_chain[-1][0]
    return client.post(where, {"login": EMAIL, "password": f"wrong {number}"})


def at_reauthentication(alice: Person, number: int):
    return alice.page().post(
        "/en/accounts/reauthenticate/", {"password": f"wrong {number}"}, REMOTE_ADDR=HERE
    )


def at_change_of_password(alice: Person, number: int):
    return alice.page().post(
        "/en/accounts/password/change/",
        {
            "oldpassword": f"wrong {number}",
            "password1": "a new phrase",
            "password2": "a new phrase",
        },
        REMOTE_ADDR=HERE,
    )


def at_a_reset_link(alice: Person, number: int):
    return Client().get(f"/en/accounts/password/reset/key/1-abc{number}/", REMOTE_ADDR=HERE)


def at_a_confirmation_link(alice: Person, number: int):
    return Client().get(f"/en/accounts/confirm-email/abc{number}/", REMOTE_ADDR=HERE)


def at_the_api_with(kind: str, secret):
    def send(alice: Person, number: int):
        return Client().get(
            "/api/v1/auth/whoami",
            REMOTE_ADDR=HERE,
            headers={"Authorization": f"{kind} {secret() if callable(secret) else secret}"},
        )

    send.__name__ = f"at_the_api_with_{kind}"
    return send


LIMITED = [
    at_login,
    at_arabic_login,
    at_login_of_many_people,
    at_the_operators_login_as_a_browser_goes_on,
    at_reauthentication,
    at_change_of_password,
    at_a_reset_link,
    at_a_confirmation_link,
    at_the_api_with("Bearer", new_api_key),
    at_the_api_with("Bearer", "junk"),
    at_the_api_with("Basic", "YWxpY2U6YQ=="),
]


@pytest.mark.parametrize("door", LIMITED, ids=lambda door: door.__name__)
def test_guessing_is_limited_at_every_door(alice: Person, door):
    answers = [door(alice, number) for number in range(GUESSES)]
    looked_at = [answer for answer in answers if answer.status_code != 429]
    assert looked_at, "the first guess is an honest mistake"
    assert len(looked_at) <= 30
    for answer in answers[len(looked_at) :]:
        assert answer.status_code == 429
        assert int(answer["Retry-After"]) > 0


def test_the_operators_have_no_door_of_their_own(alice: Person):
    User.objects.update(is_staff=True, is_superuser=True)
    for number in range(GUESSES):
        answer = at_the_operators_login(alice, number)
        assert answer.redirect_chain[-1][0] == "/en/accounts/login/?next=/en/operate/"
    inside = Client().post("/en/operate/login/", {"username": EMAIL, "password": PASSWORD})
    assert inside["Location"].startswith("/en/accounts/login/")
    assert "sessionid" not in inside.cookies


def test_every_address_of_accounts_is_known_to_the_limits():
    """A library's new door, or one more of its settings, has to be thought about."""
    names = {pattern.name for pattern in account_urls.urlpatterns} - {"account_email"}
    assert names == PASSWORD_VIEWS | set(THROTTLED_VIEWS) | UNLIMITED_VIEWS


def test_nobody_claims_a_second_address(alice: Person):
    for language in ("en", "ar"):
        answer = alice.page().post(
            f"/{language}/accounts/email/", {"email": "bob@example.com", "action_add": ""}
        )
        assert answer.status_code == 404


def test_the_api_knows_no_other_way_in():
    for view in api_views():
        assert set(view.authentication_classes) <= {ApiKeyAuthentication}, view


def test_a_key_is_taken_from_an_address_that_sent_many_wrong_ones(alice: Person):
    door = at_the_api_with("Bearer", new_api_key)
    assert [door(alice, number).status_code for number in range(GUESSES)][-1] == 429
    answer = alice.api.get("/api/v1/auth/whoami", REMOTE_ADDR=HERE)
    assert answer.status_code == 200


def test_who_guesses_keeps_nobody_out_at_another_address(alice: Person):
    assert guess(GUESSES)[-1] == 429
    assert sign_in().status_code == 429, "not even the right password, from where was guessed"
    assert sign_in(at=THERE).status_code == 302


def test_one_address_never_spends_what_an_account_has(alice: Person):
    for window in range(2):
        narrow, wide = AT_AN_ADDRESS_FOR_AN_ACCOUNT[window + 1], FOR_AN_ACCOUNT[window]
        assert narrow.seconds == wide.seconds
        assert narrow.amount * 5 < wide.amount


def test_guessing_from_many_addresses_is_bounded_and_noted(alice: Person, caplog, mailoutbox):
    guess_from_everywhere()
    assert sign_in(at=THERE).status_code == 429
    assert sign_in(at=THERE).status_code == 429
    (event,) = AuditEvent.objects.for_organization(alice.organization).filter(
        action="sign_in.limited"
    )
    assert event.target == EMAIL
    (line,) = [record.getMessage() for record in caplog.records if "guessed" in record.message]
    assert EMAIL not in line
    mail._sender.submit(lambda: None).result(60)
    (letter,) = mailoutbox
    assert letter.to == [EMAIL]
    assert letter.subject == "ODAVL: Somebody guesses your password"


def test_where_somebody_signed_in_before_they_sign_in_meanwhile(alice: Person):
    browser = Client()
    assert sign_in(client=browser, at=THERE).status_code == 302
    browser.post("/en/accounts/logout/")
    guess_from_everywhere()
    assert sign_in(at="198.51.100.99").status_code == 429, "nowhere known"
    assert sign_in(at=THERE).status_code == 302, "another browser at the same address"
    assert sign_in(client=browser, at="198.51.100.98").status_code == 302, "the same browser"


def test_a_browser_is_not_held_up_by_others_at_its_address(alice: Person):
    browser = Client()
    assert sign_in(client=browser).status_code == 302
    browser.post("/en/accounts/logout/")
    assert guess(GUESSES)[-1] == 429
    assert sign_in(client=browser).status_code == 302


def test_a_browser_has_a_count_of_its_own(alice: Person):
    browser = Client()
    sign_in(client=browser)
    browser.post("/en/accounts/logout/")
    assert guess(GUESSES, client=browser)[-1] == 429
    assert sign_in(client=browser).status_code == 429


def test_the_cookie_of_one_person_counts_nothing_for_another(alice: Person, charlie: Person):
    browser = Client()
    assert sign_in("charlie@example.com", client=browser).status_code == 302
    browser.post("/en/accounts/logout/")
    answers = guess(GUESSES, client=browser)
    assert answers.count(200) == AT_AN_ADDRESS_FOR_AN_ACCOUNT[0].amount


@pytest.mark.parametrize("cookie", ["", "junk", "a:b:c", "eyJuYW1lIjoieCIsInBlb3BsZSI6WzFdfQ:1:x"])
def test_a_cookie_that_we_did_not_sign_counts_nothing(alice: Person, cookie):
    browser = Client()
    browser.cookies[COOKIE] = cookie
    answers = guess(GUESSES, client=browser)
    assert answers.count(200) == AT_AN_ADDRESS_FOR_AN_ACCOUNT[0].amount


def test_the_cookie_is_nothing_for_scripts_and_lets_nobody_in(alice: Person, settings):
    settings.SESSION_COOKIE_SECURE = True
    browser = Client()
    cookie = sign_in(client=browser).cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie["samesite"] == "Lax"
    stranger = Client()
    stranger.cookies[COOKIE] = cookie.value
    assert stranger.get("/en/acme/").status_code == 302


def test_no_session_ends_because_somebody_guesses(alice: Person, website):
    inside = alice.page()
    guess_from_everywhere()
    assert guess(GUESSES)[-1] == 429
    assert inside.get("/en/acme/", REMOTE_ADDR=HERE).status_code == 200


def test_the_right_password_costs_nothing(alice: Person):
    guess(AT_AN_ADDRESS_FOR_AN_ACCOUNT[0].amount - 1)
    for _ in range(30):
        assert sign_in().status_code == 302


def test_people_who_are_not_there_are_limited_alike(alice: Person):
    assert guess(20) == guess(20, "nobody@example.com", at=THERE)


def test_the_case_of_an_address_makes_no_new_account(alice: Person):
    answers = [
        sign_in(email, "wrong").status_code
        for email in ("alice@example.com", "ALICE@example.com", "Alice@Example.Com") * 4
    ]
    assert answers.count(200) == AT_AN_ADDRESS_FOR_AN_ACCOUNT[0].amount


def test_a_network_of_ipv6_is_one_address(alice: Person):
    answers = [
        sign_in(password="wrong", at=f"2001:db8:1:2::{number:x}").status_code
        for number in range(20)
    ]
    assert answers.count(200) == AT_AN_ADDRESS_FOR_AN_ACCOUNT[0].amount
    assert sign_in(at="2001:db8:1:3::1").status_code == 302


def test_behind_a_proxy_the_clients_address_counts(alice: Person, settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    attacker = {"at": "10.0.0.1", "X-Forwarded-For": f"1.2.3.4, {HERE}"}
    assert guess(GUESSES, **attacker)[-1] == 429
    spoofing = [
        sign_in(password="wrong", at="10.0.0.1", **{"X-Forwarded-For": f"{THERE}, {HERE}"})
        for _ in range(3)
    ]
    assert {answer.status_code for answer in spoofing} == {429}
    person = sign_in(at="10.0.0.1", **{"X-Forwarded-For": THERE})
    assert person.status_code == 302


def test_without_a_trusted_proxy_nobody_chooses_their_address(alice: Person):
    answers = [
        sign_in(password="wrong", **{"X-Forwarded-For": f"192.0.2.{number}"}).status_code
        for number in range(20)
    ]
    assert answers.count(200) == AT_AN_ADDRESS_FOR_AN_ACCOUNT[0].amount


def test_with_redis_away_there_are_limits_and_no_failures(alice: Person, settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert set(guess(GUESSES)) == {200, 429}
    assert sign_in(at=THERE).status_code == 302


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_waits_grow_and_bound_a_day_of_guessing(alice: Person, monkeypatch):
    clock = Clock()
    counters = ProcessCounters(clock)
    monkeypatch.setattr(rate_limits, "_counters", lambda url: counters)
    waits, looked_at = [], 0
    while clock.now < 86_400:
        answer = sign_in(password="wrong")
        if answer.status_code == 429:
            waits.append(int(answer["Retry-After"]))
            clock.now += waits[-1]
        else:
            looked_at += 1
    assert looked_at == AT_AN_ADDRESS_FOR_AN_ACCOUNT[-1].amount
    assert waits[0] <= 300 < waits[1] <= 3600
    assert max(waits) > 36_000


def test_a_new_password_by_letter_ends_the_wait(alice: Person):
    guess(GUESSES)
    assert sign_in().status_code == 429
    page = Client(REMOTE_ADDR=HERE)
    form = page.get(reset_path(alice.user), follow=True)
    done = page.post(form.request["PATH_INFO"], {"password1": NEW, "password2": NEW})
    assert done.status_code == 302
    assert sign_in(password=NEW).status_code == 302


def test_so_it_does_while_many_guess(alice: Person):
    guess_from_everywhere()
    assert sign_in(at=THERE).status_code == 429
    page = Client(REMOTE_ADDR=THERE)
    form = page.get(reset_path(alice.user), follow=True)
    page.post(form.request["PATH_INFO"], {"password1": NEW, "password2": NEW})
    assert sign_in(password=NEW, at=THERE).status_code == 302


def test_places_are_few_and_tell_no_address(alice: Person):
    for number in range(25):
        sign_in(at=f"192.0.2.{number}")
    places = SignInPlace.objects.filter(user=alice.user)
    assert places.count() == 20
    assert not [place for place in places if "192" in place.digest[:3]]


@pytest.mark.parametrize(
    ("language", "told"), [("en", "Too many attempts"), ("ar", "محاولات كثيرة")]
)
def test_the_page_says_how_long_to_wait(alice: Person, language, told):
    address = f"/{language}/accounts/login/?next=/{language}/acme/"
    for _ in range(6):
        answer = Client().post(address, {"login": EMAIL, "password": "wrong"}, REMOTE_ADDR=HERE)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 300
    assert answer["Cache-Control"] == "no-store"
    text = answer.content.decode()
    assert told in text
    assert "5" in text.partition('role="alert"')[2][:60]
    assert f'href="/{language}/accounts/login/?next=%2F{language}%2Facme%2F"' in text
