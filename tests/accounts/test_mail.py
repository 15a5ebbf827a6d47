"""Letters: what they hold, who hears of it, and what there is where none are sent."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core import checks as django_checks
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import mail
from accounts.models import User
from accounts.services import create_user
from odavl_hub import checks
from tests.cast import PASSWORD, Person
from tests.mail_server import MailServer

LINK = re.compile(r"http\S+/password/reset/key/\S+")
NEW = "a new long phrase"


@pytest.fixture
def mail_server(settings):
    with MailServer() as server:
        _send_to(server, settings)
        yield server


@pytest.fixture
def no_letters(settings):
    settings.EMAIL_BACKEND = mail.NOT_SENT


def _send_to(server: MailServer, settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_USE_TLS = False


def _all_sent() -> None:
    mail._sender.submit(lambda: None).result(60)


def ask(email: str, language: str = "en", **how):
    return Client(**how).post(f"/{language}/accounts/password/reset/", {"email": email})


def set_password(path: str, client: Client | None = None):
    browser = client or Client()
    form = browser.get(path, follow=True)
    return browser.post(form.request["PATH_INFO"], {"password1": NEW, "password2": NEW})


def sign_in(password: str, email: str = "alice@example.com"):
    return Client().post("/en/accounts/login/", {"login": email, "password": password})


def test_a_letter_has_a_link_to_a_new_password(alice: Person, mail_server, settings):
    settings.PUBLIC_URL = "https://odavl.example"
    settings.ALLOWED_HOSTS = ["*"]
    answer = ask("Alice@example.com", headers={"Host": "evil.example"})
    assert answer["Location"] == "/en/accounts/password/reset/done/"
    (letter,) = mail_server.wait_for(1)
    assert letter["To"] == "alice@example.com"
    (link,) = LINK.findall(letter.get_payload(decode=True).decode())
    assert link.startswith("https://odavl.example/en/")
    assert set_password(link.removeprefix("https://odavl.example")).status_code == 302
    assert sign_in(NEW).status_code == 302
    assert sign_in(PASSWORD).status_code == 200


def test_a_link_is_good_once_and_ends_sessions(alice: Person, website):
    inside, path = alice.page(), mail.reset_path(alice.user)
    assert set_password(path).status_code == 302
    assert inside.get("/en/acme/").status_code == 302
    again = Client().get(path, follow=True)
    assert b"used already" in again.content


def test_a_link_for_one_person_signs_another_out(alice: Person, bob: Person):
    browser = bob.page()
    assert set_password(mail.reset_path(alice.user), browser).status_code == 302
    assert "_auth_user_id" not in browser.session


def test_the_answer_is_the_same_for_who_is_there_and_who_is_not(alice: Person, mail_server):
    there, not_there = ask("alice@example.com"), ask("nobody@example.com")
    for answer in (there, not_there):
        assert answer.status_code == 302
        assert answer["Location"] == "/en/accounts/password/reset/done/"
    assert sorted(there.cookies) == sorted(not_there.cookies)
    _all_sent()
    assert [letter["To"] for letter in mail_server.letters] == ["alice@example.com"]


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_nobody_waits_for_the_mail_server(alice: Person, settings, email):
    with MailServer(deaf=True) as server:
        _send_to(server, settings)
        settings.EMAIL_TIMEOUT = 100
        # Answered while the mail server has not said a word.
        assert ask(email).status_code == 302
        assert not server.letters
        server.go_on.set()
        if email.startswith("alice"):
            server.wait_for(1)


def test_a_mail_server_that_is_away_fails_no_page_and_tells_no_link(
    alice: Person, settings, caplog
):
    with MailServer() as gone:
        pass
    _send_to(gone, settings)
    assert ask("alice@example.com").status_code == 302
    _all_sent()
    (line,) = [record.getMessage() for record in caplog.records if "letter" in record.message]
    assert "ConnectionRefused" in line
    assert "reset" not in caplog.text.replace("test_", "")


def test_a_mailbox_is_not_filled_by_us(alice: Person, mail_server):
    for number in range(9):
        assert ask("alice@example.com", REMOTE_ADDR=f"192.0.2.{number}").status_code == 302
    _all_sent()
    assert len(mail_server.letters) == 3


@pytest.mark.parametrize(
    ("language", "told"), [("en", "sends no e-mail"), ("ar", "لا ترسل هذه المنصّة")]
)
def test_without_a_mail_server_the_page_says_what_to_do(alice: Person, no_letters, language, told):
    address = f"/{language}/accounts/password/reset/"
    page = Client().get(address)
    done = Client().post(address, {"email": "alice@example.com"}, follow=True)
    for answer in (page, done):
        assert told in answer.content.decode()
        assert b"manage.py reset_link" in answer.content
    assert b"<form method" not in page.content.partition(b"<main")[2].partition(b"</main")[0]


def test_without_a_mail_server_the_log_says_what_to_do(alice: Person, no_letters, caplog):
    ask("alice@example.com")
    assert "manage.py reset_link" in caplog.text
    assert "/key/" not in caplog.text


def test_an_operator_prints_a_link(alice: Person, settings):
    settings.PUBLIC_URL = "https://odavl.example"
    out, talk = StringIO(), StringIO()
    call_command("reset_link", " Alice@Example.com", stdout=out, stderr=talk)
    link = out.getvalue().strip()
    assert LINK.fullmatch(link)
    assert "Good once" in talk.getvalue()
    assert set_password(link.removeprefix("https://odavl.example")).status_code == 302
    assert sign_in(NEW).status_code == 302


@pytest.mark.parametrize("email", ["nobody@example.com", "bob@example.com", ""])
def test_an_operator_gets_no_link_for_who_cannot_sign_in(alice: Person, bob: Person, email):
    User.objects.filter(pk=bob.user.pk).update(is_active=False)
    with pytest.raises(CommandError):
        call_command("reset_link", email)


@pytest.mark.parametrize(
    ("asked_for", "is_open", "expected"),
    [
        (mail.NOT_SENT, False, ["odavl_hub.W010"]),
        (mail.NOT_SENT, True, ["odavl_hub.W010", "odavl_hub.W011"]),
        ("django.core.mail.backends.console.EmailBackend", False, ["odavl_hub.W009"]),
        ("django.core.mail.backends.smtp.EmailBackend", True, []),
    ],
)
def test_a_hub_without_letters_is_told(settings, asked_for, is_open, expected):
    settings.EMAIL_BACKEND_ASKED_FOR, settings.SIGNUP_OPEN = asked_for, is_open
    settings.EMAIL_BACKEND = asked_for if "smtp" in asked_for else mail.NOT_SENT
    found: list[django_checks.CheckMessage] = checks.mail_server(None)
    assert [message.id for message in found] == expected
    assert all(message.hint for message in found)


# ── Accounts that strangers make ──────────────────────────────────────────────
@pytest.fixture
def is_open(settings):
    settings.SIGNUP_OPEN = True
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"


def sign_up(email: str, client: Client | None = None):
    form = {"email": email, "password1": NEW, "password2": NEW}
    return (client or Client()).post("/en/accounts/signup/", form)


def test_making_an_account_does_not_tell_who_has_one(alice: Person, is_open, mail_server):
    taken, free = sign_up("alice@example.com"), sign_up("dora@example.com")
    for answer in (taken, free):
        assert answer.status_code == 302
        assert answer["Location"] == "/en/accounts/confirm-email/"
    assert sorted(taken.cookies) == sorted(free.cookies)
    told = {
        letter["To"]: letter.get_payload(decode=True).decode() for letter in mail_server.wait_for(2)
    }
    assert "confirm-email/" in told["dora@example.com"]
    assert "confirm-email/" not in told["alice@example.com"]
    assert User.objects.get(email="alice@example.com").check_password(PASSWORD)


def test_who_confirms_the_address_is_in(is_open, mail_server, db, settings):
    browser = Client()
    sign_up("dora@example.com", browser)
    assert sign_in(NEW, "dora@example.com")["Location"] == "/en/accounts/confirm-email/"
    text = mail_server.wait_for(1)[0].get_payload(decode=True).decode()
    path = re.search(r"http\S+?(/en/accounts/confirm-email/\S+)", text).group(1)
    page = browser.get(path)
    assert b"dora@example.com" in page.content
    assert browser.post(path).status_code == 302
    assert sign_in(NEW, "dora@example.com")["Location"] != "/en/accounts/confirm-email/"


def test_people_whom_others_let_in_need_no_letter(alice: Person, is_open, mail_server):
    assert sign_in(PASSWORD)["Location"] == "/en/acme/"
    create_user(email="erin@example.com", password=PASSWORD)
    assert sign_in(PASSWORD, "erin@example.com")["Location"] == "/"
    assert not mail_server.letters


def test_without_letters_nobody_makes_an_account(is_open, no_letters, db):
    assert b'name="password1"' not in Client().get("/en/accounts/signup/").content
    sign_up("dora@example.com")
    assert not User.objects.exists()
