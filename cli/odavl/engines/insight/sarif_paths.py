"""Where a SARIF location lies, as a path relative to the project's root.

SARIF names files by URIs: absolute, or relative to a base which may be relative to another one
(§3.4, §3.14.14), or only by their number in a list. Producers differ: ruff and ESLint write
absolute ``file:`` URIs, CodeQL relative ones to ``%SRCROOT%`` which it defines, semgrep the same
without a definition, others absolute ones with a base that says nothing.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from odavl.wire import limits
from odavl.wire.encoding import visible
from odavl.wire.sarif import ArtifactLocation, SarifRun

PROJECT_PATH = "(project)"
"""The path of a finding that names no file: it is about the project as a whole."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DRIVE = re.compile(r"/?[A-Za-z]:[/\\]")
_MAX_BASES = 32


class RunPaths:
    """Turns the locations of one SARIF run into paths; equal locations are worked out once."""

    def __init__(self, run: SarifRun, root: Path | None) -> None:
        self._artifacts = run.artifacts
        self._bases = run.original_uri_base_ids
        self._known: dict[tuple[str | None, str | None, int], str] = {}
        self._roots = self._find_roots(run, root)

    def path_of(self, location: ArtifactLocation) -> str:
        """A relative path with ``/`` between its parts, without ``..``, drive or leading ``/``.

        Below the project's root, or else below the root that the run itself names, the path is
        relative to that. A file elsewhere keeps its whole path, made harmless. Without any name:
        ``PROJECT_PATH``.
        """
        key = (location.uri, location.uri_base_id, location.index)
        path = self._known.get(key)
        if path is None:
            path = self._known[key] = self._work_out(location)
        return path

    def _work_out(self, location: ArtifactLocation) -> str:
        base, relative = self._resolve(location)
        if base is None:
            return _harmless(relative)
        whole = posixpath.normpath(posixpath.join(base, relative))
        for root in self._roots:
            if whole.startswith(f"{root}/"):
                return _harmless(whole[len(root) :])
        # Relative to a folder of the machine that ran the tool: that folder is of no use here.
        return _harmless(relative or whole)

    def _resolve(self, location: ArtifactLocation) -> tuple[str | None, str]:
        """The absolute folder or file it starts from, if there is one, and the path from there."""
        relative = ""
        place: ArtifactLocation | None = self._named(location)
        for _ in range(_MAX_BASES):
            if place is None:
                break
            uri = place.uri or ""
            if _is_absolute(uri):
                return _local_path(uri), relative
            relative = posixpath.join(_local_path(uri), relative) if relative else _local_path(uri)
            place = self._bases.get(place.uri_base_id) if place.uri_base_id else None
        return None, relative

    def _named(self, location: ArtifactLocation) -> ArtifactLocation:
        if location.uri is None and 0 <= location.index < len(self._artifacts):
            return self._artifacts[location.index].location or location
        return location

    def _find_roots(self, run: SarifRun, root: Path | None) -> list[str]:
        """Absolute folders that paths may be relative to, the project's own first."""
        roots = [] if root is None else [root.absolute().as_posix(), root.resolve().as_posix()]
        mapped = [each.mapped_to for each in run.version_control_provenance if each.mapped_to]
        named = [ArtifactLocation(uri_base_id=name) for name in _source_root_first(self._bases)]
        for location in (*mapped, *named):
            base, relative = self._resolve(location)
            if base is not None:
                roots.append(posixpath.normpath(posixpath.join(base, relative)))
        return [each.rstrip("/") for each in dict.fromkeys(roots) if each.rstrip("/")]


def _source_root_first(bases: dict[str, ArtifactLocation]) -> list[str]:
    return sorted(bases, key=lambda name: ("ROOT" not in name.upper(), name))


def _is_absolute(uri: str) -> bool:
    return bool(uri.startswith(("/", "\\")) or _SCHEME.match(uri) or _DRIVE.match(uri))


def _local_path(uri: str) -> str:
    """The path in a URI, percent signs decoded. Windows paths come out with ``/`` too."""
    if _DRIVE.match(uri):
        return unquote(uri).replace("\\", "/")
    scheme = _SCHEME.match(uri)
    text = uri[scheme.end() :] if scheme else uri
    if text.startswith("//"):
        host, slash, path = text[2:].partition("/")
        text = f"{slash}{path}" if host in {"", "localhost"} else f"/{host}{slash}{path}"
    if scheme:
        text = text.partition("#")[0].partition("?")[0]
    return unquote(text).replace("\\", "/")


def _harmless(path: str) -> str:
    """``path`` as one that leads nowhere else, within the wire's bounds."""
    without_drive = _DRIVE.sub("/", path, count=1) if _DRIVE.match(path) else path
    parts = posixpath.normpath(f"/{without_drive}").lstrip("/")
    return visible(parts)[-limits.MAX_PATH_LENGTH :] or PROJECT_PATH
