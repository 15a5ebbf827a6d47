"""The payload of an Insight run: ``analysis-results``, version 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from odavl.wire import limits
from odavl.wire.moments import Moment

Severity = Literal["critical", "high", "medium", "low", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
"""Worst first."""

_PIECE = 64 * limits.KIBIBYTE
DetectorStatus = Literal["ran", "failed", "not-installed", "skipped"]
Position = Annotated[int, Meta(ge=0, le=limits.MAX_LINE_NUMBER)]
"""A 1-based line or column; 0 where the detector names none."""


class Diagnostic(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """One finding. Its path is the key it stands under in ``diagnostics``."""

    severity: Severity
    message: str
    line: Position = 0
    source: str = ""
    """The detector's name."""
    code: str = ""
    """The detector's name for the rule."""
    column: Position = 0
    end_line: Position | None = None
    end_column: Position | None = None
    fingerprint: str = ""
    """What makes two findings the same issue, without the path; derived where it is missing."""
    snippet: str = ""
    fix: str = ""
    """What to do about it, for a person; or a replacement text."""
    url: str = ""
    suppressed: bool = False
    occurrences: Annotated[int, Meta(ge=1)] = 1
    """How often the tool told exactly this: of a header once for each file that includes it."""


class UnreadFile(msgspec.Struct, kw_only=True, rename="camel"):
    """A file that a detector should have looked at and did not; a folder's path ends in ``/``."""

    path: str
    reason: str = ""


class DetectorReport(msgspec.Struct, kw_only=True, rename="camel"):
    """What became of one detector. Only one that ``ran`` speaks for its findings."""

    name: str
    """The tool's, and behind a ``/`` the category where there is one: what its findings name."""
    category: str = ""
    """What kind of analysis by that tool it was, as the tool says: ``/language:python``."""
    version: str = ""
    status: DetectorStatus = "ran"
    findings: int = 0
    duration_ms: int = 0
    detail: str = ""
    """Why it failed, or the command that installs it."""
    unread_files: list[UnreadFile] = msgspec.field(default_factory=list)
    """What it could not look at, though it ran: at most ``MAX_UNREAD_FILES``, the first by path."""
    unread_count: int = 0
    """How many these are in all."""


class Scope(msgspec.Struct, kw_only=True, rename="camel"):
    """What a run looked at; ``files`` is None for the whole project."""

    detectors: list[DetectorReport] = msgspec.field(default_factory=list)
    files: list[str] | None = None


class GitState(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    remote: str | None = None
    branch: str | None = None
    commit: str | None = None


class Tool(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    name: str = "odavl"
    version: str = ""


class Metrics(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    files_analyzed: int = 0
    duration_ms: int = 0
    code_lines: int = 0


class AnalysisResults(msgspec.Struct, kw_only=True, rename="camel"):
    """The whole document. The short form holds ``diagnostics`` alone."""

    diagnostics: dict[str, list[Diagnostic]]
    """By path relative to the project's root, with ``/`` between the parts."""
    version: Literal[1] = 1
    tool: Tool = msgspec.field(default_factory=Tool)
    scope: Scope | None = None
    """None in the short form: the detectors that have findings, over the whole project."""
    git: GitState = msgspec.field(default_factory=GitState)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    analysed_at: Moment | None = None
    """When the analysis began to read the files; None where nobody knows."""

    @property
    def finding_count(self) -> int:
        return sum(map(len, self.diagnostics.values()))


def encoded_pieces(results: AnalysisResults) -> Iterator[bytes]:
    """The JSON document of ``results``, some files at a time: a large one is nowhere whole."""
    frame = msgspec.json.encode(msgspec.structs.replace(results, diagnostics={}))
    head, found, rest = frame.partition(b'"diagnostics":{')
    parts = [head, found]
    size = 0
    for number, (path, diagnostics) in enumerate(results.diagnostics.items()):
        encoded = msgspec.json.encode(diagnostics)
        parts += (b"," if number else b"", msgspec.json.encode(path), b":", encoded)
        size += len(encoded)
        if size >= _PIECE:
            yield b"".join(parts)
            parts.clear()
            size = 0
    yield b"".join((*parts, rest))


ANALYSIS_DECODER = msgspec.json.Decoder(AnalysisResults)
