"""Who a request comes from: the one place that knows of reverse proxies.

A proxy that ``TRUSTED_PROXIES`` names may say for whom it asks; anybody else speaks for themselves,
whatever their headers say. The middleware writes what it finds into ``REMOTE_ADDR`` and takes the
headers of proxies away, so that limits, audit log, sign-in and views all see one address and have
nothing left to interpret in their own way.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNIX_SOCKET = "unix"
"""The word of ``TRUSTED_PROXIES`` for whoever can open the hub's Unix socket."""

_log = logging.getLogger(__name__)
_FOR = "HTTP_X_FORWARDED_FOR"
_SCHEME = "HTTP_X_FORWARDED_PROTO"
_OF_PROXIES = re.compile(r"HTTP_(X_FORWARDED(_.*)?|FORWARDED|X_REAL_IP|X_SCHEME|X_CLIENT_IP)")
_MOST_HOPS = 32
_WITH_PORT = re.compile(r"\[(?P<six>[^\]]*)\](:\d+)?|(?P<four>[^:]*):\d+")
_MOST_WARNINGS = 20


class TrustedProxies:
    """Networks, and whether a peer without an address (a Unix socket's) is a proxy, too."""

    def __init__(self, words: Iterable[str]) -> None:
        """``words`` that cannot be read trust nobody; :func:`misread` names them."""
        words = tuple(words)
        self._networks = [network for word in words if (network := _network(word))]
        self._sockets = UNIX_SOCKET in words

    def __bool__(self) -> bool:
        return bool(self._networks) or self._sockets

    def trust(self, peer: Address | None) -> bool:
        """Whether ``peer`` (None: no address) may say for whom it asks."""
        if peer is None:
            return self._sockets
        return any(peer in network for network in self._networks)


def misread(words: Iterable[str]) -> list[str]:
    """Those of ``TRUSTED_PROXIES`` that are no network, no address and not ``unix``."""
    return [word for word in words if word != UNIX_SOCKET and _network(word) is None]


def client_address(peer: str, forwarded_for: str, trusted: TrustedProxies) -> str:
    """The address of the client, "" where there is none.

    ``peer`` is the other end of the connection, ``forwarded_for`` the value of ``X-Forwarded-For``,
    to which each proxy appends whom it heard. So it is read from the right, and only as far as
    trusted proxies wrote it: the first address that is none of theirs is the client's. What stands
    left of that, or of something that is no address, may be anybody's invention.
    """
    found = address_of(peer)
    hops = forwarded_for.split(",")[-_MOST_HOPS:] if forwarded_for else []
    while hops and trusted.trust(found):
        hop = address_of(hops.pop())
        if hop is None:
            break
        found = hop
    return "" if found is None else str(found)


def address_of(text: str) -> Address | None:
    """The address in ``text``, without port, brackets and zone; None for anything else.

    An IPv4 address that travels as an IPv6 one (``::ffff:192.0.2.1``) is the IPv4 address.
    """
    text = text.strip()
    if found := _WITH_PORT.fullmatch(text):
        text = found["six"] if found["six"] is not None else found["four"]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class ClientAddressMiddleware:
    """The outermost: what comes after it reads ``REMOTE_ADDR`` and knows of no proxy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        settle(request.META)
        return self.get_response(request)


def settle(meta: dict[str, Any]) -> None:
    """Make ``REMOTE_ADDR`` the client's and drop the headers of proxies.

    Of a trusted one ``X-Forwarded-Proto`` is left, of several values the one that it wrote itself.
    """
    trusted = _trusted(tuple(settings.TRUSTED_PROXIES))
    peer = str(meta.get("REMOTE_ADDR") or "")
    said = {name: meta.pop(name) for name in list(meta) if _OF_PROXIES.fullmatch(name)}
    if not said:
        return
    if not trusted.trust(address_of(peer)):
        if _FOR in said:
            _warn_once(peer)
        return
    meta["REMOTE_ADDR"] = client_address(peer, said.get(_FOR, ""), trusted)
    if _SCHEME in said:
        meta[_SCHEME] = said[_SCHEME].rpartition(",")[2].strip()


@lru_cache(maxsize=8)
def _trusted(words: tuple[str, ...]) -> TrustedProxies:
    return TrustedProxies(words)


def _network(word: str) -> Network | None:
    try:
        return ip_network(word, strict=False)
    except ValueError:
        return None


_warned: set[str] = set()
_warning = threading.Lock()


def _warn_once(peer: str) -> None:
    """Somebody who put a proxy in front and forgot the setting finds the reason in the log."""
    with _warning:
        if peer in _warned or len(_warned) >= _MOST_WARNINGS:
            return
        _warned.add(peer)
    _log.warning(
        "X-Forwarded-For came from %s, which TRUSTED_PROXIES does not name, and is not believed. "
        "If that is your reverse proxy, add it.",
        peer or "a Unix socket",
    )
