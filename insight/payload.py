"""A stored ``analysis-results`` document, read file by file in bounded memory.

A document is never turned into objects whole: its outline is decoded first, with the findings of
each file left as raw JSON, and each file's findings are decoded when their turn comes. What
arrives larger than :data:`RESIDENT_LIMIT` is not even inflated whole: see
:mod:`insight.large_payload`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from odavl.wire import limits, paths
from odavl.wire.analysis import Diagnostic, GitState, Metrics, Scope, Severity, Tool
from odavl.wire.encoding import decode_json, decode_part, pointer_token
from odavl.wire.moments import Moment

CONTROL_ESCAPE = b"\\u00"
"""JSON can hold control characters in no other form than this, so one search finds them all."""

RESIDENT_LIMIT = 96 * limits.MEBIBYTE
"""Largest inflated document that is held in memory while it is ingested."""


class Header(msgspec.Struct, kw_only=True, rename="camel"):
    """Everything of the document but its findings."""

    version: Literal[1] = 1
    tool: Tool = msgspec.field(default_factory=Tool)
    scope: Scope | None = None
    git: GitState = msgspec.field(default_factory=GitState)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    analysed_at: Moment | None = None


class Outline(Header, kw_only=True, rename="camel"):
    diagnostics: dict[str, msgspec.Raw]


class Sighting(msgspec.Struct, kw_only=True, gc=False):
    """The part of a finding that tells whether it is known; the rest is not decoded for it."""

    severity: Severity
    source: str = ""
    code: str = ""
    fingerprint: str = ""
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """The findings of one file. ``path`` is clean; ``raw`` is the JSON array as it was sent."""

    path: str
    raw: msgspec.Raw
    has_control_characters: bool
    """Whether there may be some in the document's texts."""

    def diagnostics(self) -> list[Diagnostic]:
        """The findings, with control characters made visible."""
        return self._visible(decode_part(self.raw, _FINDINGS, self._pointer))

    def sightings(self) -> list[Sighting]:
        """The findings' keys. Their other fields are not looked at, and so not checked either."""
        return decode_part(self.raw, _SIGHTINGS, self._pointer)

    def parts(self) -> list[msgspec.Raw]:
        """The findings one by one, as they were sent."""
        return decode_part(self.raw, _PARTS, self._pointer)

    def selected(self, places: Iterable[int]) -> list[Diagnostic]:
        """Only those at ``places`` in the list, without decoding the others."""
        parts = self.parts()
        return self._visible(
            [decode_part(parts[at], _FINDING, f"{self._pointer}/{at}") for at in places]
        )

    def only(self, parts: Iterable[msgspec.Raw]) -> File:
        """The same file with these of its findings."""
        raw = msgspec.Raw(b"[" + b",".join(map(bytes, parts)) + b"]")
        return File(self.path, raw, self.has_control_characters)

    @property
    def _pointer(self) -> str:
        return f"/diagnostics/{pointer_token(self.path)}"

    def _visible(self, found: list[Diagnostic]) -> list[Diagnostic]:
        if self.has_control_characters and CONTROL_ESCAPE in bytes(self.raw):
            for diagnostic in found:
                _make_visible(diagnostic)
        return found


class Document(Protocol):
    """What ingest needs of a payload; it can be walked through more than once."""

    @property
    def header(self) -> Header: ...

    def files(self) -> Iterator[File]: ...


class ResidentDocument:
    """A document whose JSON is in memory."""

    def __init__(self, body: bytes) -> None:
        self._outline = decode_json(body, _OUTLINE)
        self._has_control_characters = CONTROL_ESCAPE in body

    @property
    def header(self) -> Header:
        return self._outline

    def files(self) -> Iterator[File]:
        for path, raw in self._outline.diagnostics.items():
            yield File(clean_path(path), raw, self._has_control_characters)


def clean_path(path: str) -> str:
    """As :func:`odavl.wire.paths.clean_path`, for a key of ``diagnostics``."""
    return paths.clean_path(path, f"/diagnostics/{pointer_token(path[:200])}")


_TEXTS = ("message", "source", "code", "fingerprint", "snippet", "fix", "url")
_CONTROL_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"}


def _make_visible(diagnostic: Diagnostic) -> None:
    for name in _TEXTS:
        text = getattr(diagnostic, name)
        if not text.isprintable():
            setattr(diagnostic, name, text.translate(_CONTROL_PICTURES))


_OUTLINE = msgspec.json.Decoder(Outline)
_FINDINGS = msgspec.json.Decoder(list[Diagnostic])
_SIGHTINGS = msgspec.json.Decoder(list[Sighting])
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_FINDING = msgspec.json.Decoder(Diagnostic)
