"""An ASGI scope as the environment of PEP 3333."""

from __future__ import annotations

import sys
from typing import Any

Environment = dict[str, Any]

_CONSTANT: Environment = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}
_WITHOUT_PREFIX = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})


def environment_of(scope: dict[str, Any]) -> Environment:
    """All but ``wsgi.input``."""
    host, port = scope["server"]
    # Who comes through a Unix socket has neither.
    client_host, client_port = scope["client"] or ("", "")
    found: Environment = {
        **_CONSTANT,
        "REQUEST_METHOD": scope["method"],
        # PEP 3333 has bytes travel as Latin-1; what they mean is the application's business.
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client_host or "",
        "REMOTE_PORT": str(client_port),
        "wsgi.url_scheme": scope["scheme"],
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:
            continue  # or `X_Forwarded_Proto` would pass for what only a proxy may say
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        key = name if name in _WITHOUT_PREFIX else f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        if key in found:
            # RFC 9110, section 5.3, and RFC 6265, section 5.4.
            value = f"{found[key]}{'; ' if name == 'COOKIE' else ','}{value}"
        found[key] = value
    return found


def announced_length(meta: Environment) -> int:
    """Bytes of the body; 0 for one that does not say. Django reads no more than that either."""
    text = meta.get("CONTENT_LENGTH", "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def client_of(meta: Environment) -> tuple[str, int]:
    """Address and port of whoever connected; those through a Unix socket have none."""
    return meta["REMOTE_ADDR"], int(meta["REMOTE_PORT"] or 0)
