"""The configuration: flags over environment over the project's file over the person's file.

::

    flags                                   --hub, --organization, --project, ...
    ODAVL_CLOUD_API, ODAVL_API_KEY, ODAVL_ORGANIZATION_ID, ODAVL_PROJECT_ID, ODAVL_TIMEOUT, ...
    .odavl/config.toml                      or [tool.odavl] in pyproject.toml
    ~/.odavl/config.toml                    ODAVL_HOME moves it

The project's file is whoever's wrote the project. :data:`SETTINGS` says of each setting whether it
counts there; docs/settings.md says why.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from odavl.project.own_files import project_folder, read_small
from odavl.wire.errors import UsageError

SEVERITIES = ("critical", "high", "medium", "low", "info")
DEFAULT_PORTS = {"http": 80, "https": 443}

Place = Literal["home", "project", "environment", "flag"]
"""Where a setting was set. All but ``project`` are the person's own."""


class Setting(NamedTuple):
    """``in_project``: ``yes``; ``signed in`` counts where the person signed in to that; ``no``."""

    in_project: Literal["yes", "signed in", "no"]
    variable: str | None = None


SETTINGS = {
    "cloud_api": Setting("signed in", "ODAVL_CLOUD_API"),
    "api_key": Setting("no", "ODAVL_API_KEY"),
    "organization_id": Setting("yes", "ODAVL_ORGANIZATION_ID"),
    "project_id": Setting("yes", "ODAVL_PROJECT_ID"),
    "project": Setting("yes"),
    "auto_upload": Setting("yes"),
    "fail_on": Setting("yes"),
    "detectors": Setting("yes"),
    "exclude": Setting("yes"),
    "timeout": Setting("yes", "ODAVL_TIMEOUT"),
    "detector_timeout": Setting("yes", "ODAVL_DETECTOR_TIMEOUT"),
}
KEYS = tuple(SETTINGS)
ENVIRONMENT = {key: each.variable for key, each in SETTINGS.items() if each.variable}


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
    places: Mapping[str, Place] = field(default_factory=dict)
    own_cloud_api: str | None = None
    """The hub's address as the person set it, whatever the project says."""


_TEXTS = ("cloud_api", "api_key", "organization_id", "project_id", "project", "fail_on")
_LISTS = ("detectors", "exclude")
LONGEST_TIMEOUTS = {"timeout": 3600, "detector_timeout": 24 * 3600}
_SENT_AS_HEADERS = ("api_key", "organization_id")
_HEADER_TEXT = re.compile(r"[!-~]+")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_DOTS = re.compile(r"/\.{1,2}(/|$)")


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
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    places: dict[str, Place] = {}
    own: dict[str, Any] = {}
    for place, origin, table in _layers(root, home, flags or {}, environ):
        if place == "project":
            _check_that_it_may_be_set(table, origin)
        for key, value in checked_table(table, origin).items():
            values[key], sources[key], places[key] = value, origin, place
            if place != "project":
                own[key] = value
    return Settings(**values, sources=sources, places=places, own_cloud_api=own.get("cloud_api"))


def _layers(
    root: Path, home: Path, flags: Mapping[str, object], environ: Mapping[str, str]
) -> Iterator[tuple[Place, str, Mapping[str, object]]]:
    """What is set where, with the name of the place; what comes later wins."""
    yield "home", str(home / "config.toml"), _read_toml(home / "config.toml")
    for origin, table in _project_layers(root, home):
        yield "project", origin, table
    for key, variable in ENVIRONMENT.items():
        if environ.get(variable):
            yield "environment", variable, {key: environ[variable]}
    given = {key: value for key, value in flags.items() if value is not None}
    yield "flag", "the command line", given


def _check_that_it_may_be_set(table: Mapping[str, object], origin: str) -> None:
    for key in table:
        if key in SETTINGS and SETTINGS[key].in_project == "no":
            raise UsageError(
                f"{origin}: {key} does not belong in a project's file.",
                hint="Take it out there, revoke it if it was committed, and sign in: "
                "odavl login --token -",
            )


def checked_table(table: Mapping[str, object], origin: str) -> dict[str, Any]:
    """``table`` with every value in the type of its setting; ``origin`` is named in errors."""
    return {key: _of_its_type(key, value, origin) for key, value in table.items()}


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
    host = _host(parts.hostname, origin)
    if port is not None and port != DEFAULT_PORTS[parts.scheme]:
        host += f":{port}"
    prefix = parts.path.rstrip("/").removesuffix("/api/v1").rstrip("/")
    if not _PREFIX.fullmatch(prefix) or _DOTS.search(prefix):
        raise _wrong(origin, "cloud_api", "has a path that no hub has")
    return f"{parts.scheme}://{host}{prefix}"


def _host(name: str, origin: str) -> str:
    """Only what every reader of addresses takes for the same host."""
    if ":" in name:
        return f"[{name}]"
    try:
        plain = name.encode("idna").decode("ascii").rstrip(".")
    except UnicodeError:
        plain = ""
    if not _HOST.fullmatch(plain):
        raise _wrong(origin, "cloud_api", "names no host")
    return plain


def _project_layers(root: Path, home: Path) -> list[tuple[str, Mapping[str, object]]]:
    own = project_folder(root) / "config.toml"
    pyproject = root / "pyproject.toml"
    table = _tool_table(pyproject)
    if not os.path.lexists(own) or own.resolve() == (home / "config.toml").resolve():
        return [(f"{pyproject} [tool.odavl]", table)] if table is not None else []
    if table is not None:
        raise UsageError(
            f"Both {own} and [tool.odavl] in {pyproject} hold settings.",
            hint="Keep one of the two.",
        )
    return [(str(own), _read_toml(own, follow=False))]


def _tool_table(pyproject: Path) -> Mapping[str, object] | None:
    # Other tools' file, too: where it is none, that is for them to say.
    content = read_small(pyproject) if pyproject.is_file() else None
    if content is None or b"odavl" not in content:
        return None
    tool = _parsed(pyproject, content).get("tool")
    table = tool.get("odavl") if isinstance(tool, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise _wrong(str(pyproject), "tool.odavl", "must be a table")
    return table


def _read_toml(path: Path, *, follow: bool = True) -> dict[str, object]:
    content = read_small(path, follow=follow)
    return {} if content is None else _parsed(path, content)


def _parsed(path: Path, content: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from error


def _of_its_type(key: str, value: object, origin: str) -> object:
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
