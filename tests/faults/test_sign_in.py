"""Row 61: passwords are guessed, at whatever door, from wherever; and letters hold links.

Against whole hubs of two web processes. Loopback has many addresses: each client here has its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from odavl.wire.api_keys import new_api_key
from tests.hub_process import REPOSITORY, HubProcess
from tests.mail_server import MailServer

OWNER = "owner@localhost"
PROXY = "127.0.0.99"
LOGIN = "/en/accounts/login/"
GUESSES = 60
LOOKED_AT = 5
"""Wrong passwords for one account from one address that are looked at."""
NEW = "a new long phrase"
LINK = re.compile(r"http://\S+?(/en/accounts/password/reset/key/\S+)")


@contextmanager
def running_hub(**environment: str) -> Iterator[HubProcess]:
    static = REPOSITORY / "staticfiles"
    assert (static / "staticfiles.json").exists(), "The pages need their styles: make static"
    folder = Path(tempfile.mkdtemp(prefix="odavl-fault-"))
    folder.chmod(0o711)
    hub = HubProcess(folder / "data", WEB_WORKERS="2", STATIC_ROOT=str(static), **environment)
    try:
        hub.wait_until_serving()
        yield hub
    finally:
        hub.kill_all()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def hub(mail_server: MailServer) -> Iterator[HubProcess]:
    with running_hub(
        TRUSTED_PROXIES=f"{PROXY}/32",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=str(mail_server.port),
        EMAIL_USE_TLS="false",
    ) as hub:
        yield hub


_opened: list[httpx.Client] = []


@pytest.fixture(autouse=True)
def _browsers_are_closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


class Browser:
    """A person's or an attacker's, at an address of its own."""

    def __init__(self, hub: HubProcess, address: str, **headers: str) -> None:
        self.http = httpx.Client(
            base_url=hub.url,
            headers=headers,
            transport=httpx.HTTPTransport(local_address=address),
            timeout=60,
            trust_env=False,
        )
        _opened.append(self.http)

    def post(self, path: str, **form: str) -> httpx.Response:
        """Fill in the form at ``path``, wherever that leads, and send it."""
        page = self.http.get(path, follow_redirects=True)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        if token is None:
            return page
        return self.http.post(page.url, data={"csrfmiddlewaretoken": token[1], **form})

    def sign_in(self, password: str, *, email: str = OWNER, at: str = LOGIN) -> int:
        return self.post(at, login=email, password=password).status_code

    def guess(self, times: int, *, email: str = OWNER, at: str = LOGIN) -> list[int]:
        return [self.sign_in(f"wrong {number}", email=email, at=at) for number in range(times)]


def password_of(hub: HubProcess) -> str:
    return (hub.data / "secrets" / "first-sign-in").read_text().splitlines()[1]


def everything_logged(hub: HubProcess) -> str:
    """What stands in log files of the hub, rotated ones too."""
    return "\n".join(file.read_text() for file in hub.data.rglob("*.log*") if file.is_file())


@pytest.mark.parametrize(
    ("door", "address"),
    [(LOGIN, "127.0.1.1"), ("/ar/accounts/login/", "127.0.1.2"), ("/en/operate/", "127.0.1.3")],
)
def test_row_61_sixty_wrong_passwords_at_any_door(hub: HubProcess, door: str, address: str) -> None:
    answers = Browser(hub, address).guess(GUESSES, at=door)
    assert answers == [200] * LOOKED_AT + [429] * (GUESSES - LOOKED_AT)
    last = Browser(hub, address).post(door, login=OWNER, password="wrong")
    assert int(last.headers["Retry-After"]) > 0


def test_row_61_sixty_wrong_keys(hub: HubProcess) -> None:
    browser = Browser(hub, "127.0.1.4").http
    answers = [
        browser.get("/api/v1/auth/whoami", headers={"Authorization": f"Bearer {new_api_key()}"})
        for _ in range(GUESSES)
    ]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_row_61_who_guesses_keeps_nobody_out_at_another_address(hub: HubProcess) -> None:
    person, attacker = Browser(hub, "127.0.2.1"), Browser(hub, "127.0.2.2")
    assert attacker.guess(GUESSES)[-1] == 429
    assert attacker.sign_in(password_of(hub)) == 429
    assert person.sign_in(password_of(hub)) == 302
    # Somebody who is in stays in, and comes back in, whoever guesses beside them.
    assert Browser(hub, "127.0.2.1").guess(GUESSES)[-1] == 429
    assert person.http.get("/en/home/").status_code == 200
    person.post("/en/accounts/logout/")
    assert person.http.get("/en/home/").status_code == 302
    assert person.sign_in(password_of(hub)) == 302


def test_row_61_guesses_at_once_are_counted_by_all_processes(hub: HubProcess) -> None:
    def guess(number: int) -> int:
        return Browser(hub, "127.0.3.1").sign_in(f"wrong {number}", email="at-once@example.com")

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(guess, range(GUESSES)))
    assert answers.count(200) == LOOKED_AT
    assert answers.count(429) == GUESSES - LOOKED_AT


def test_row_61_with_redis_killed_guessing_is_limited_and_people_sign_in() -> None:
    with running_hub() as hub:
        attacker, person = Browser(hub, "127.0.4.1"), Browser(hub, "127.0.4.2")
        answers = []
        for number in range(GUESSES):
            if number in {3, 20, 40}:
                with suppress(ValueError):  # it has not come back yet
                    hub.server("redis").kill()
            answers.append(attacker.sign_in(f"wrong {number}"))
        # Each of two processes counts by itself meanwhile, and each new Redis begins anew.
        assert set(answers) == {200, 429}
        assert answers.count(200) <= (2 + 4) * LOOKED_AT
        assert person.sign_in(password_of(hub)) == 302


def test_row_61_behind_a_trusted_proxy_the_clients_address_counts(hub: HubProcess) -> None:
    def behind_the_proxy(forwarded: str) -> Browser:
        return Browser(hub, PROXY, **{"X-Forwarded-For": forwarded})

    email = "proxied@example.com"
    assert behind_the_proxy("203.0.113.5").guess(GUESSES, email=email)[-1] == 429
    invented = behind_the_proxy("198.51.100.7, 203.0.113.5").guess(3, email=email)
    assert invented == [429] * 3
    assert behind_the_proxy("198.51.100.7").sign_in(password_of(hub)) == 302
    # The same header from anybody else says nothing.
    answers = [
        Browser(hub, "127.0.5.1", **{"X-Forwarded-For": f"192.0.2.{number}"}).sign_in(
            "wrong", email="spoofed@example.com"
        )
        for number in range(2 * LOOKED_AT)
    ]
    assert answers == [200] * LOOKED_AT + [429] * LOOKED_AT


def printed_link(hub: HubProcess) -> str:
    """The path that ``manage.py reset_link`` prints beside a hub with servers of its own."""
    told = subprocess.run(
        [sys.executable, "manage.py", "reset_link", OWNER],
        cwd=REPOSITORY,
        env={
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
        }
        | {"ODAVL_DATA": str(hub.data), "PORT": str(hub.port)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(hub.url)
    return LINK.match(told.stdout)[1]


def use_in_every_way(hub: HubProcess, path: str, address: str) -> None:
    """Open the link, with a wrong end, too often, without a token; then set a password with it."""
    browser = Browser(hub, address)
    browser.http.get(path[:-3] + "/", follow_redirects=True)
    browser.http.get(path.rstrip("/"))
    browser.http.post(path, data={"password1": NEW, "password2": NEW})
    browser.http.get(path.replace("/en/", "/xx/"))
    done = browser.post(path, password1=NEW, password2=NEW)
    assert done.status_code == 302
    for _ in range(40):
        last = browser.http.get(path)
    assert last.status_code == 429


def secret_of(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2].partition("-")[2]


def test_row_61_no_link_to_a_new_password_in_any_log(
    hub: HubProcess, mail_server: MailServer
) -> None:
    before = password_of(hub)
    asked = Browser(hub, "127.0.6.1").post("/en/accounts/password/reset/", email=OWNER)
    assert asked.status_code == 302
    (letter, *_) = mail_server.wait_for(1)
    sent = LINK.search(letter.get_payload(decode=True).decode())[1]
    printed = printed_link(hub)
    use_in_every_way(hub, sent, "127.0.6.2")
    person = Browser(hub, "127.0.6.3")
    assert person.sign_in(before) == 200
    assert person.sign_in(NEW) == 302
    restore_password(hub, before)
    logged = everything_logged(hub)
    for secret in (secret_of(sent), secret_of(printed), before, NEW):
        assert len(secret) >= 10
        assert secret not in logged
    assert person.http.cookies["sessionid"] not in logged
    assert "password/reset/key/…" in logged, "the log has what happened, without the secret"


def restore_password(hub: HubProcess, password: str) -> None:
    browser = Browser(hub, "127.0.6.4")
    done = browser.post(printed_link(hub), password1=password, password2=password)
    assert done.status_code == 302


def test_row_61_without_a_mail_server_nothing_is_printed_either() -> None:
    with running_hub(EMAIL_BACKEND="django.core.mail.backends.console.EmailBackend") as hub:
        asked = Browser(hub, "127.0.7.1").post("/en/accounts/password/reset/")
        assert "manage.py reset_link" in asked.text
        browser = Browser(hub, "127.0.7.2")
        browser.http.get(LOGIN)
        token = browser.http.cookies["csrftoken"]
        form = {"email": OWNER, "csrfmiddlewaretoken": token}
        answer = browser.http.post("/en/accounts/password/reset/", data=form)
        assert answer.status_code == 302
        path = printed_link(hub)
        use_in_every_way(hub, path, "127.0.7.3")
        logged = everything_logged(hub)
        assert "manage.py reset_link" in logged
        assert secret_of(path) not in logged
        assert "/password/reset/key/1-" not in logged
