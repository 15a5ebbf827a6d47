"""The configuration: flags over environment over the project's file over the person's file.

::

    flags                                   --hub, --organization, --project, ...
    ODAVL_CLOUD_API, ODAVL_API_KEY, ODAVL_ORGANIZATION_ID, ODAVL_PROJECT_ID, ODAVL_TIMEOUT, ...
    .odavl/config.toml                      or [tool.odavl] in pyproject.toml
    ~/.odavl/config.toml                    ODAVL_HOME moves it
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from odavl.project.root import PROJECT_FOLDER
from odavl.wire.errors import UsageError

ENVIRONMENT = {
    "cloud_api": "ODAVL_CLOUD_API",
    "api_key": "ODAVL_API_KEY",
    "organization_id": "ODAVL_ORGANIZATION_ID",
    "project_id": "ODAVL_PROJECT_ID",
    "timeout": "ODAVL_TIMEOUT",
    "detector_timeout": "ODAVL_DETECTOR_TIMEOUT",
}
SEVERITIES = ("critical", "high", "medium", "low", "info")
DEFAULT_PORTS = {"http": 80, "https": 443}
LARGEST_CONFIG = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One value for each setting, and in ``sources`` where each that was set came from."""

    cloud_api: str | None = None
    """The hub's address without a slash at its end; None where nothing names one."""
    api_key: str | None = field(default=None, repr=False)
    organization_id: str | None = None
    project_id: str | None = None
    project: str | None = None
    """The project's name on the hub; made there when it does not exist."""
    auto_upload: bool = False
    fail_on: str | None = None
    detectors: tuple[str, ...] | None = None
    """None: all that are installed."""
    exclude: tuple[str, ...] = ()
    timeout: int = 30
    """Seconds for one step of an exchange with the hub."""
    detector_timeout: int = 600
    """Seconds that one detector may take."""
    sources: Mapping[str, str] = field(default_factory=dict)


_TEXTS = ("cloud_api", "api_key", "organization_id", "project_id", "project", "fail_on")
_LISTS = ("detectors", "exclude")
LONGEST_TIMEOUTS = {"timeout": 3600, "detector_timeout": 24 * 3600}
_SENT_AS_HEADERS = ("api_key", "organization_id")
_HEADER_TEXT = re.compile(r"[!-~]+")
KEYS = tuple(item.name for item in fields(Settings) if item.name != "sources")


def load_settings(
    root: Path,
    home: Path,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings that hold in ``root``. Flags that are None count as not given.

    Raises :class:`UsageError`, naming the file and the key, for what cannot be used.
    """
    layers = [
        (str(home / "config.toml"), _read_toml(home / "config.toml")),
        *_project_layers(root, home),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for origin, table in layers:
        for key, value in checked_table(table, origin).items():
            values[key], sources[key] = value, origin
    for key, variable in ENVIRONMENT.items():
        if environ.get(variable):
            values[key] = _checked(key, environ[variable], variable)
            sources[key] = variable
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = _checked(key, value, "the command line")
            sources[key] = "the command line"
    return Settings(**values, sources=sources)


def checked_table(table: Mapping[str, object], origin: str) -> dict[str, Any]:
    """``table`` with every value in the type of its setting; ``origin`` is named in errors."""
    return {key: _checked(key, value, origin) for key, value in table.items()}


def normalize_address(text: str, origin: str) -> str:
    """A hub's address as ``scheme://host[:port][/prefix]``, so that equal hubs compare equal."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise _wrong(origin, "cloud_api", f"is not an address: {error}") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise _wrong(origin, "cloud_api", "must be an address such as https://hub.example.com")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _wrong(origin, "cloud_api", "must hold no credentials, query or fragment")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is not None and port != DEFAULT_PORTS[parts.scheme]:
        host += f":{port}"
    prefix = parts.path.rstrip("/").removesuffix("/api/v1")
    return f"{parts.scheme}://{host}{prefix}"


def _project_layers(root: Path, home: Path) -> list[tuple[str, Mapping[str, object]]]:
    own = root / PROJECT_FOLDER / "config.toml"
    pyproject = root / "pyproject.toml"
    table = _tool_table(pyproject)
    if own.resolve() == (home / "config.toml").resolve() or not own.exists():
        return [(f"{pyproject} [tool.odavl]", table)] if table is not None else []
    if table is not None:
        raise UsageError(
            f"Both {own} and [tool.odavl] in {pyproject} hold settings.",
            hint="Keep one of the two.",
        )
    return [(str(own), _read_toml(own))]


def _tool_table(pyproject: Path) -> Mapping[str, object] | None:
    try:
        # A FIFO of this name would have nobody who writes to it.
        if not pyproject.is_file() or b"odavl" not in pyproject.read_bytes():
            return None
    except OSError:
        return None
    tool = _read_toml(pyproject).get("tool")
    table = tool.get("odavl") if isinstance(tool, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise _wrong(str(pyproject), "tool.odavl", "must be a table")
    if "api_key" in table:
        raise _wrong(str(pyproject), "tool.odavl.api_key", "does not belong in a committed file")
    return table


def _read_toml(path: Path) -> dict[str, object]:
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no regular file.")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_CONFIG + 1)
        if len(content) > LARGEST_CONFIG:
            raise UsageError(f"{path} is larger than a configuration can be.")
        return tomllib.loads(content.decode())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from error


def _checked(key: str, value: object, origin: str) -> object:
    if key not in KEYS:
        raise _wrong(origin, key, f"is not a setting; there are {', '.join(KEYS)}")
    if key in _LISTS:
        return _text_tuple(key, value, origin)
    if key in _TEXTS:
        return _text(key, value, origin)
    if key in LONGEST_TIMEOUTS:
        return _seconds(key, value, origin)
    if not isinstance(value, bool):
        raise _wrong(origin, key, f"must be true or false, not {_kind(value)}")
    return value


def _text(key: str, value: object, origin: str) -> str:
    if not isinstance(value, str):
        raise _wrong(origin, key, f"must be a text, not {_kind(value)}")
    if not value.strip() or not value.isprintable():
        raise _wrong(origin, key, "must be a text that can be printed, and not empty")
    if key == "cloud_api":
        return normalize_address(value, origin)
    if key in _SENT_AS_HEADERS and not _HEADER_TEXT.fullmatch(value.strip()):
        raise _wrong(origin, key, "holds characters that no such value has")
    if key == "fail_on" and value not in SEVERITIES:
        raise _wrong(origin, key, f"must be one of {', '.join(SEVERITIES)}")
    return value.strip()


def _seconds(key: str, value: object, origin: str) -> int:
    """A number, or from the environment the text of one."""
    longest = LONGEST_TIMEOUTS[key]
    digits = len(str(longest))
    if isinstance(value, str) and re.fullmatch(rf"[0-9]{{1,{digits}}}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= longest:
        raise _wrong(origin, key, f"must be whole seconds, 1 to {longest}")
    return value


def _text_tuple(key: str, value: object, origin: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _wrong(origin, key, f"must be a list of texts, not {_kind(value)}")
    return tuple(value)


def _kind(value: object) -> str:
    names = {bool: "true or false", str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), f"{value}")


def _wrong(origin: str, key: str, what: str) -> UsageError:
    return UsageError(f"{origin}: {key} {what}.")
