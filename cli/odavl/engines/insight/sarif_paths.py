"""Where a SARIF location lies, as a path relative to the project's root.

SARIF names files by URIs: absolute, or relative to a base which may be relative to another one
(§3.4, §3.14.14), or only by their number in a list. Producers differ: ruff and ESLint write
absolute ``file:`` URIs, CodeQL relative ones to ``%SRCROOT%`` which it defines, semgrep the same
without a definition, scanners of images names that are no URIs at all (``alpine:3.19``).

Two files never become one path: what cannot be said relative to the root is marked, not cut off.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from hashlib import blake2b
from pathlib import Path
from urllib.parse import unquote

from odavl.engines.insight.secret_text import without_credentials
from odavl.wire import limits
from odavl.wire.encoding import visible
from odavl.wire.sarif import ArtifactLocation, Location, LogicalLocation, PhysicalLocation, SarifRun

PROJECT_PATH = "(project)"
"""The path of a finding that names no file: it is about the project as a whole."""

LOGICAL = "(logical) "
"""In front of what is named by the program (a class, a package) and not by a file."""

PARENT = "(parent)"
"""In place of a step ``..`` that leads out of the folder that the path is relative to."""

_FILE = re.compile(r"file:", re.IGNORECASE)
_WITH_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?=//)")
_DRIVE = re.compile(r"/?([A-Za-z]):(?=[/\\]|$)")
_MAX_STEPS = 32
_DIGEST_LENGTH = 16


class RunPaths:
    """Turns the locations of one SARIF run into paths; equal locations are worked out once."""

    def __init__(self, run: SarifRun, root: Path | None) -> None:
        self._artifacts = run.artifacts
        self._bases = run.original_uri_base_ids
        self._logical = run.logical_locations
        self._known: dict[tuple[str | None, str | None, int], str] = {}
        self._roots = (
            [] if root is None else [root.absolute().as_posix(), root.resolve().as_posix()]
        )
        mapped = [each.mapped_to for each in run.version_control_provenance if each.mapped_to]
        self._roots += self._absolute(mapped)
        named = [ArtifactLocation(uri_base_id=name) for name in _source_root_first(self._bases)]
        self._named_roots = self._absolute(named)

    def place_of(self, location: Location) -> tuple[str, PhysicalLocation | None]:
        """The path of a location, and what it says of the place in that file.

        Without a file: what the program calls the place. Without either: ``PROJECT_PATH``.
        """
        physical = location.physical_location
        if physical is not None:
            path = self.path_of(physical.artifact_location)
            if path != PROJECT_PATH:
                return path, physical
        for each in location.logical_locations:
            name = self._logical_name(each)
            if name:
                return _bounded(f"{LOGICAL}{_harmless(name)}"), None
        return PROJECT_PATH, physical

    def path_of(self, location: ArtifactLocation) -> str:
        """A relative path with ``/`` between its parts, without ``..``, drive or leading ``/``.

        Below the project's root, or else below the root that the run itself names, the path is
        relative to that. A file elsewhere keeps its whole path, made harmless. Without any name:
        ``PROJECT_PATH``.
        """
        key = (location.uri, location.uri_base_id, location.index)
        path = self._known.get(key)
        if path is None:
            path = self._known[key] = _bounded(_harmless(self._work_out(location)))
        return path

    def resolved(self, location: ArtifactLocation) -> tuple[str | None, str]:
        """The absolute folder or file it starts from, if there is one, and the path from there."""
        relative = ""
        place: ArtifactLocation | None = location
        for _ in range(_MAX_STEPS):
            if place is None:
                break
            whole, path = _local_path(place.uri or "")
            if whole:
                return path, relative
            relative = posixpath.join(path, relative) if relative else path
            place = self._bases.get(place.uri_base_id) if place.uri_base_id else None
        return None, relative

    def _work_out(self, location: ArtifactLocation) -> str:
        if location.uri is None and 0 <= location.index < len(self._artifacts):
            return self._listed(location.index)
        base, relative = self.resolved(location)
        if base is None:
            return relative
        whole = posixpath.normpath(posixpath.join(base, relative))
        # What is relative to a base that the run knows: that base is where the tool was started.
        for root in self._roots if relative else (*self._roots, *self._named_roots):
            if whole.startswith(f"{root}/"):
                return whole[len(root) + 1 :]
        # Relative to a folder of the machine that ran the tool: that folder is of no use here.
        return relative or whole

    def _listed(self, index: int) -> str:
        """§3.24.3: a file that lies in another one, such as an archive, is named from there."""
        steps: list[str] = []
        for _ in range(_MAX_STEPS):
            if not 0 <= index < len(self._artifacts):
                break
            artifact = self._artifacts[index]
            location = artifact.location or ArtifactLocation()
            inside = artifact.parent_index >= 0
            if inside:
                steps.insert(0, _local_path(location.uri or "")[1].strip("/"))
            elif location.uri is not None:
                steps.insert(0, self._work_out(location))
            index = artifact.parent_index
        return posixpath.join("", *(step for step in steps if step))

    def _logical_name(self, location: LogicalLocation) -> str:
        """§3.33: its full name, else its names from the outermost one on."""
        names: list[str] = []
        place = location
        for _ in range(_MAX_STEPS):
            if 0 <= place.index < len(self._logical):
                place = self._logical[place.index]
            if place.fully_qualified_name:
                names.insert(0, place.fully_qualified_name)
                break
            own = place.name or place.decorated_name
            if own:
                names.insert(0, own)
            if not 0 <= place.parent_index < len(self._logical):
                break
            place = self._logical[place.parent_index]
        return ".".join(names)

    def _absolute(self, locations: list[ArtifactLocation]) -> list[str]:
        """Absolute folders that paths may be relative to."""
        found = []
        for location in locations:
            base, relative = self.resolved(location)
            if base is not None:
                found.append(posixpath.normpath(posixpath.join(base, relative)).rstrip("/"))
        return [each for each in dict.fromkeys(found) if each]


def _source_root_first(bases: dict[str, ArtifactLocation]) -> list[str]:
    return sorted(bases, key=lambda name: ("ROOT" not in name.upper(), name))


def _local_path(uri: str) -> tuple[bool, str]:
    """Whether the URI is a whole one, and the path in it, percent signs decoded.

    Windows paths come out with ``/`` too, their drives as ``/C:``. What looks like a scheme and is
    none that names a file or a host belongs to the name.
    """
    drive = _DRIVE.match(uri)
    if drive is not None:
        return True, f"/{drive[1].upper()}:{_decoded(uri[drive.end() :])}"
    file = _FILE.match(uri)
    scheme = file or _WITH_HOST.match(uri)
    if scheme is None:
        path = _decoded(uri)
        return path.startswith("/"), path
    text = uri[scheme.end() :]
    host = ""
    if text.startswith("//"):
        host, slash, path = text[2:].partition("/")
        text = f"{slash}{path}"
    if file is None:
        # A page: its query may tell it from another, and may hold what nobody is to see.
        return True, f"/{host.rpartition('@')[2]}{without_credentials(text)}"
    text = _without_end(text, "#") if "#" in text else text
    text = _without_end(text, "?") if "?" in text else text
    drive = _DRIVE.match(text)
    if drive is not None and host in {"", "localhost"}:
        return True, f"/{drive[1].upper()}:{_decoded(text[drive.end() :])}"
    here = host in {"", "localhost"}
    return text.startswith("/") or not here, _decoded(text if here else f"/{host}{text}")


def _without_end(text: str, mark: str) -> str:
    """Without query or fragment. With steps behind it, the mark was not encoded: ``C#/``."""
    name, _, end = text.rpartition(mark)
    return text if "/" in end else name


def _decoded(text: str) -> str:
    """Percent signs decoded, unless that makes no UTF-8: another file would read the same."""
    if "%" in text:
        with contextlib.suppress(UnicodeDecodeError):
            text = unquote(text, errors="strict")
    return text.replace("\\", "/")


def _harmless(path: str) -> str:
    """``path`` as one that leads nowhere else."""
    if path.startswith("/"):
        path = posixpath.normpath(path).lstrip("/")
        drive = _DRIVE.match(path)
        path = f"({drive[1]}:){path[drive.end() :]}" if drive else path
    elif path:
        path = posixpath.normpath(path)
    steps = [PARENT if step == ".." else step for step in path.split("/")]
    return visible("/".join(steps if steps != ["."] else []))


def _bounded(path: str) -> str:
    """Within the wire's bound: of a longer one its end, behind a digest of the whole."""
    if len(path) <= limits.MAX_PATH_LENGTH:
        return path or PROJECT_PATH
    digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_LENGTH // 2)
    return f"{digest.hexdigest()}…{path[_DIGEST_LENGTH + 1 - limits.MAX_PATH_LENGTH :]}"
