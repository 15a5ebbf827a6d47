from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from odavl.hub import account
from odavl.hub.retry import ONCE
from odavl.hub.transport import HubClient
from odavl.wire.errors import (
    FieldError,
    HubUnreachable,
    InvalidPayload,
    NotAuthenticated,
    NotTheHub,
    OdavlError,
    QuotaExceeded,
    RateLimited,
    ServerFault,
    ServiceUnavailable,
)
from tests.client.small_hub import (
    TOKEN,
    Reply,
    SmallHub,
    answer,
    cut,
    html,
    json_reply,
    problem,
)

Connect = Callable[..., HubClient]


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def connect(small_hub: SmallHub, pauses: list[float]) -> Iterator[Connect]:
    opened: list[HubClient] = []

    def make(**settings: object) -> HubClient:
        known = {"token": TOKEN, "sleep": pauses.append, **settings}
        opened.append(HubClient(small_hub.address, **known))
        return opened[-1]

    yield make
    for client in opened:
        client.__exit__(None, None, None)


def test_it_says_who_asks_and_names_the_request(small_hub: SmallHub, connect: Connect) -> None:
    who = account.whoami(connect(organization_id="org-1"))
    assert who.organization.slug == "acme"
    headers = small_hub.seen[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-organization-id"] == "org-1"
    assert len(headers["x-request-id"]) == 32
    assert headers["user-agent"].startswith("odavl/")


@pytest.mark.parametrize(
    "fault", [cut, html(502), html(503), problem(ServerFault()), problem(RateLimited())]
)
def test_what_passes_is_tried_again(
    small_hub: SmallHub, connect: Connect, pauses: list[float], fault: object
) -> None:
    small_hub.faults_anywhere.extend([fault, fault])
    assert account.whoami(connect()).organization.id == "org-1"
    assert len(pauses) == 2


def test_after_three_attempts_it_gives_up(small_hub: SmallHub, connect: Connect) -> None:
    small_hub.faults_anywhere.extend([html(502)] * 5)
    with pytest.raises(ServiceUnavailable):
        account.whoami(connect())
    assert len(small_hub.seen) == 3


def test_retry_after_is_obeyed(small_hub: SmallHub, connect: Connect, pauses: list[float]) -> None:
    small_hub.faults_anywhere.append(problem(RateLimited(), Retry_After="7"))
    account.whoami(connect())
    assert pauses == [7.0]


def test_a_post_without_a_key_is_not_repeated(small_hub: SmallHub, connect: Connect) -> None:
    small_hub.faults_anywhere.append(cut)
    with pytest.raises(HubUnreachable):
        connect().send_json("POST", "/projects", {})
    assert len(small_hub.seen) == 1


@pytest.mark.parametrize(
    "error",
    [
        NotAuthenticated("No such key."),
        QuotaExceeded("Ten of ten."),
        InvalidPayload("No.", errors=(FieldError("/a/0", "invalid", "Expected int"),)),
    ],
)
def test_the_hubs_error_is_rebuilt_and_not_repeated(
    small_hub: SmallHub, connect: Connect, error: OdavlError
) -> None:
    small_hub.faults_anywhere.append(problem(error))
    with pytest.raises(type(error)) as caught:
        account.whoami(connect())
    assert caught.value.detail == error.detail
    assert caught.value.errors == error.errors
    assert caught.value.request_id == "request-1"
    assert len(small_hub.seen) == 1


@pytest.mark.parametrize(
    "fault",
    [
        html(200),
        html(404),
        html(401),
        answer(Reply(200, b'{"ok": true}', {"Content-Type": "application/json"})),
        answer(Reply(200, b"not json", {"Content-Type": "application/json"})),
        answer(Reply(204)),
    ],
)
def test_what_no_hub_says_is_never_taken_for_success(
    small_hub: SmallHub, connect: Connect, fault: object
) -> None:
    small_hub.faults_anywhere.append(fault)
    with pytest.raises(NotTheHub):
        account.whoami(connect(policy=ONCE))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_elsewhere_takes_no_key_along(
    small_hub: SmallHub, connect: Connect, status: int
) -> None:
    stranger = SmallHub()
    with closing(stranger):
        location = {"Location": f"{stranger.address}/api/v1/auth/whoami"}
        small_hub.faults_anywhere.append(answer(Reply(status, b"", location)))
        with pytest.raises(NotTheHub, match="redirects"):
            account.whoami(connect(policy=ONCE))
        assert stranger.seen == []


def test_a_redirect_within_the_hub_is_followed(small_hub: SmallHub, connect: Connect) -> None:
    location = {"Location": "/api/v1/auth/whoami"}
    small_hub.faults_anywhere.append(answer(Reply(307, b"", location)))
    assert account.whoami(connect()).organization.id == "org-1"


def test_a_hub_that_never_answers_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            HubClient(address, token=TOKEN, policy=ONCE, timeout=0.2) as client,
            pytest.raises(HubUnreachable, match="in time"),
        ):
            account.whoami(client)


def test_lists_are_read_to_their_end(small_hub: SmallHub, connect: Connect) -> None:
    small_hub.projects = [
        {"id": f"p{number}", "slug": f"p{number}", "name": f"P {number}"} for number in range(5)
    ]
    assert [each.id for each in account.projects(connect())] == ["p0", "p1", "p2", "p3", "p4"]


ELSEWHERE = [
    "http://127.0.0.1:{other}/x",
    "https://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "http://127.0.0.1:{port}@127.0.0.1:{other}/x",
    "http://me@127.0.0.1:{port}/x",
    "http://127.0.0.1:{other}\\@127.0.0.1:{port}/x",
    "http://[::1/x",
    "http://127.0.0.1:99999/x",
]
"""Addresses that are another origin, or that two readers may take for different ones."""


@pytest.mark.parametrize("address", [*ELSEWHERE, "//127.0.0.1:{other}/x"])
def test_a_redirect_to_any_other_origin_is_not_followed(
    small_hub: SmallHub, connect: Connect, address: str
) -> None:
    stranger = SmallHub()
    with closing(stranger):
        location = {"Location": filled(address, small_hub, stranger)}
        small_hub.faults_anywhere.append(answer(Reply(307, b"", location)))
        with pytest.raises((NotTheHub, HubUnreachable)):
            account.whoami(connect(policy=ONCE))
        assert (len(small_hub.seen), stranger.seen) == (1, [])


@pytest.mark.parametrize("address", ELSEWHERE)
def test_no_address_that_an_answer_names_gets_the_key_elsewhere(
    small_hub: SmallHub, connect: Connect, address: str
) -> None:
    """The next page, and where an upload's status can be asked for."""
    stranger = SmallHub()
    with closing(stranger):
        named = filled(address, small_hub, stranger)
        page = json_reply({"items": [], "next": named})
        small_hub.faults_anywhere.append(answer(page))
        with pytest.raises(NotTheHub):
            account.projects(connect(policy=ONCE))
        with pytest.raises(NotTheHub):
            connect(policy=ONCE).get(named)
        assert (len(small_hub.seen), stranger.seen) == (1, [])


@pytest.mark.parametrize(
    "path", ["//127.0.0.1:{other}/x", "/\\127.0.0.1:{other}/x", "@x", "\r\nX: y"]
)
def test_what_is_no_address_stays_a_path_of_the_hub(
    small_hub: SmallHub, connect: Connect, path: str
) -> None:
    stranger = SmallHub()
    with closing(stranger):
        with pytest.raises(OdavlError):
            connect(policy=ONCE).get(filled(path, small_hub, stranger))
        assert stranger.seen == []
        assert all(each.path.startswith("/api/v1") for each in small_hub.seen)


def filled(address: str, hub: SmallHub, stranger: SmallHub) -> str:
    ports = {
        "port": hub.address.rpartition(":")[2],
        "other": stranger.address.rpartition(":")[2],
    }
    return address.format(**ports)


def test_credentials_of_the_machine_do_not_join_the_key(
    small_hub: SmallHub, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .netrc belongs to curl and its like; no answer sets a cookie for the next request."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password of-another\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    small_hub.faults_anywhere.append(
        answer(Reply(307, b"", {"Location": "/api/v1/auth/whoami", "Set-Cookie": "a=b; Path=/"}))
    )
    account.whoami(connect())
    with pytest.raises(NotAuthenticated):
        account.whoami(connect(token=None))
    assert [each.headers.get("authorization") for each in small_hub.seen] == [
        f"Bearer {TOKEN}", f"Bearer {TOKEN}", None,
    ]  # fmt: skip
    assert [each.headers.get("cookie") for each in small_hub.seen] == [None] * 3
