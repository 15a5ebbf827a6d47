"""Whom a request comes from: nobody but a trusted proxy has a say in it."""

from __future__ import annotations

import logging

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as some

from accounts.models import AuditEvent
from frame import proxies
from frame.proxies import TrustedProxies, address_of, client_address, misread, settle
from tests.cast import Person

NEAR = "10.1.2.3"
"""The proxy that is trusted."""
FAR = "203.0.113.7"
"""A client."""
TRUSTED = TrustedProxies(["10.0.0.0/8", "fd00::/8", "192.0.2.1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        (FAR, "", FAR),
        (FAR, "198.51.100.1", FAR),
        (NEAR, "", NEAR),
        (NEAR, FAR, FAR),
        (NEAR, f"198.51.100.1, {FAR}", FAR),
        (NEAR, f"127.0.0.1,{FAR}", FAR),
        (NEAR, f"10.9.9.9, {FAR}", FAR),
        # Two proxies, one behind the other.
        (NEAR, f"198.51.100.1, {FAR}, 192.0.2.1", FAR),
        (NEAR, f"{FAR} , 10.0.0.1", FAR),
        # Somebody inside: all the way through is trusted.
        (NEAR, "10.0.0.9", "10.0.0.9"),
        (NEAR, "10.0.0.8, 10.0.0.9", "10.0.0.8"),
        # Ports, brackets, zones, mapped addresses.
        (NEAR, f"{FAR}:4711", FAR),
        (NEAR, "[2001:db8::5]:4711", "2001:db8::5"),
        (NEAR, "[2001:db8::5]", "2001:db8::5"),
        (NEAR, "2001:db8::5", "2001:db8::5"),
        (NEAR, "fe80::1%eth0", "fe80::1"),
        (NEAR, f"::ffff:{FAR}", FAR),
        ("::ffff:10.1.2.3", FAR, FAR),
        ("fd12::1", "2001:DB8:0::5", "2001:db8::5"),
        # What is no address hides what stands left of it.
        (NEAR, f"{FAR}, unknown", NEAR),
        (NEAR, f"{FAR}, _hidden", NEAR),
        (NEAR, f"{FAR},", NEAR),
        (NEAR, ",,,", NEAR),
        (NEAR, f"{FAR}, 10.0.0.1, junk", NEAR),
        (NEAR, f"{FAR}, 999.1.1.1", NEAR),
        (NEAR, f"{FAR}, 010.000.000.001", NEAR),
        (NEAR, f"{FAR}, 1.2.3.4.5", NEAR),
        (NEAR, f"{FAR}, \u0661\u0660.1.1.1", NEAR),
        # A Unix socket has no address.
        ("", FAR, ""),
        ("not an address", FAR, ""),
    ],
)
def test_the_client_is_the_first_from_the_right_who_is_no_proxy(peer, forwarded, expected):
    assert client_address(peer, forwarded, TRUSTED) == expected


def test_a_unix_socket_is_trusted_where_it_is_named():
    assert client_address("", FAR, TrustedProxies(["unix"])) == FAR
    assert client_address(NEAR, FAR, TrustedProxies(["unix"])) == NEAR


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["10.0.0.0/8", "::1", "unix", "10.1.2.3/8"], []),
        (["10.0.0.0/33", "nginx", "", "10.0.0"], ["10.0.0.0/33", "nginx", "", "10.0.0"]),
    ],
)
def test_what_cannot_be_read_is_named_and_trusts_nobody(words, wrong):
    assert misread(words) == wrong
    assert not TrustedProxies(wrong)


_addresses = some.ip_addresses().map(str)
_invented = some.lists(_addresses | some.text(max_size=30), max_size=8).map(",".join)


@given(peer=_addresses, forwarded=_invented)
def test_an_untrusted_client_never_chooses_its_address(peer, forwarded):
    trusted = TrustedProxies(["10.0.0.0/8", "fd00::/8"])
    if not trusted.trust(address_of(peer)):
        assert client_address(peer, forwarded, trusted) == str(address_of(peer))


@given(client=_addresses, invented=_invented, inner=some.booleans())
def test_nor_does_one_behind_a_proxy(client, invented, inner):
    trusted = TrustedProxies(["10.0.0.0/8", "fd00::/8"])
    if trusted.trust(address_of(client)):
        return
    appended = f"{invented}, {client}" + (", 10.0.0.2" if inner else "")
    assert client_address("10.0.0.1", appended, trusted) == str(address_of(client))


@given(peer=_addresses, forwarded=some.text())
def test_nothing_a_stranger_sends_raises(peer, forwarded):
    client_address(peer, forwarded, TRUSTED)


HEADERS = {
    "HTTP_X_FORWARDED_FOR": FAR,
    "HTTP_X_FORWARDED_PROTO": "http, https",
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_X_FORWARDED_PORT": "1",
    "HTTP_FORWARDED": f"for={FAR}",
    "HTTP_X_REAL_IP": FAR,
}


def test_nothing_of_a_stranger_is_left_to_be_believed(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    meta = {"REMOTE_ADDR": "198.51.100.2", "HTTP_HOST": "a", **HEADERS}
    settle(meta)
    assert meta == {"REMOTE_ADDR": "198.51.100.2", "HTTP_HOST": "a"}


def test_of_a_proxy_the_scheme_that_it_wrote_itself_is_left(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    meta = {"REMOTE_ADDR": NEAR, **HEADERS}
    settle(meta)
    assert meta == {"REMOTE_ADDR": FAR, "HTTP_X_FORWARDED_PROTO": "https"}


def test_a_forgotten_setting_is_told_once_for_each_peer(settings, caplog, monkeypatch):
    monkeypatch.setattr(proxies, "_warned", set())
    settings.TRUSTED_PROXIES = []
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            settle({"REMOTE_ADDR": "198.51.100.2", **HEADERS})
    (line,) = [record.getMessage() for record in caplog.records]
    assert "198.51.100.2" in line
    assert "TRUSTED_PROXIES" in line


@pytest.mark.parametrize(("peer", "noted"), [(NEAR, FAR), ("198.51.100.2", "198.51.100.2")])
def test_the_audit_log_names_the_client(alice: Person, settings, peer, noted):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    answer = alice.api.post(
        "/api/v1/api-keys",
        {"name": "CI", "scopes": ["insight:read"]},
        content_type="application/json",
        REMOTE_ADDR=peer,
        headers={"X-Forwarded-For": FAR},
    )
    assert answer.status_code == 201, answer.content
    event = AuditEvent.objects.for_organization(alice.organization).first()
    assert event.ip_address == noted


@pytest.mark.parametrize(("peer", "status"), [(NEAR, 200), ("198.51.100.2", 301)])
def test_only_a_proxy_says_that_a_request_was_secure(db, settings, peer, status):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    settings.SECURE_SSL_REDIRECT = True
    answer = Client(headers={"X-Forwarded-Proto": "https"}).get("/healthz", REMOTE_ADDR=peer)
    assert answer.status_code == status
