"""What Django is told of a request."""

from __future__ import annotations

from typing import Any

import pytest

from odavl_hub.front_door.wsgi_environ import announced_length, environment_of


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "method": "GET",
        "path": "/ä b/",
        "query_string": b"q=%C3%A4",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("hub.example.com", 8000),
        "client": ("192.0.2.1", 4711),
        "headers": headers,
    }


def test_headers_have_the_names_that_django_looks_for():
    meta = environment_of(
        scope((b"content-type", b"text/plain"), (b"x-request-id", b"a"), (b"content-length", b"7"))
    )
    assert (meta["CONTENT_TYPE"], meta["HTTP_X_REQUEST_ID"]) == ("text/plain", "a")
    assert announced_length(meta) == 7
    assert (meta["REMOTE_ADDR"], meta["SERVER_PORT"]) == ("192.0.2.1", "8000")
    assert meta["PATH_INFO"].encode("latin-1").decode() == "/ä b/"


@pytest.mark.parametrize("client", [None, ("", None), (None, None)])
def test_who_comes_through_a_unix_socket_has_no_address(client):
    meta = environment_of(scope() | {"client": client})
    assert meta["REMOTE_ADDR"] == ""


def test_a_header_with_an_underscore_passes_for_no_other():
    meta = environment_of(scope((b"x_forwarded_proto", b"https"), (b"x_request-id", b"a")))
    assert not [name for name in meta if name.startswith("HTTP_")]


def test_what_comes_twice_is_joined():
    meta = environment_of(
        scope((b"accept", b"a"), (b"accept", b"b"), (b"cookie", b"c=1"), (b"cookie", b"d=2"))
    )
    assert (meta["HTTP_ACCEPT"], meta["HTTP_COOKIE"]) == ("a,b", "c=1; d=2")


@pytest.mark.parametrize("text", ["", "-1", "1,1", "1e3", "\u0661"])
def test_a_length_that_is_none_announces_nothing(text: str):
    assert announced_length({"CONTENT_LENGTH": text}) == 0
