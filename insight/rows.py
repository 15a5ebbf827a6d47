"""Findings as rows: identities, contents and the text that COPY takes.

This is the innermost loop of the hub, run once for every finding of every upload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from insight.copying import FIELD, NULL
from insight.models import Severity
from insight.payload import File
from odavl.engines.insight.fingerprints import FINGERPRINT_LENGTH, assign_fingerprints
from odavl.wire import limits
from odavl.wire.analysis import Diagnostic

SEVERITY_OF_NAME = {severity.name.lower(): int(severity) for severity in Severity}
NAME_OF_SEVERITY = {value: name for name, value in SEVERITY_OF_NAME.items()}
_SIGN = 0x8000_0000

KEY_COLUMNS = "ordinal, identity, fingerprint, content"
DETAIL_COLUMNS = (
    'severity, line, "column", end_line, end_column, suppressed, '
    "detector, rule, path, message, snippet, fix, url"
)
ISSUE_COLUMNS = f"stream_id, introduced, identity, fingerprint, content, {DETAIL_COLUMNS}"


class Source(NamedTuple):
    """The detector's name for findings that carry none, or for all of them when ``forced``."""

    name: str
    forced: bool = False


@dataclass(slots=True)
class Tally:
    """What a walk through a document counted."""

    findings: int = 0
    suppressed: int = 0
    trimmed: int = 0
    severities: Counter[str] = field(default_factory=Counter)
    """Of the findings that are not suppressed."""
    detectors: Counter[str] = field(default_factory=Counter)


class Keyed(NamedTuple):
    """A finding and :data:`KEY_COLUMNS`' fields behind the ordinal, already joined."""

    key: str
    diagnostic: Diagnostic


def keyed(file: File, source: Source, tally: Tally) -> list[Keyed]:
    """The findings of one file in the document's order, each under an identity of its own."""
    found = file.diagnostics()
    _name_sources(found, source)
    if not all(diagnostic.fingerprint for diagnostic in found):
        assign_fingerprints({file.path: found}, lambda _path: None)
    path_number = _digest_number(file.path)
    for diagnostic in found:
        trim(diagnostic, tally)
    _count(found, tally)
    return [
        Keyed(
            f"{number ^ path_number:032x}{FIELD}{number:032x}{FIELD}{_content_of(diagnostic)}",
            diagnostic,
        )
        for diagnostic, number in zip(found, _fingerprints(found), strict=True)
    ]


def _count(found: list[Diagnostic], tally: Tally) -> None:
    tally.findings += len(found)
    tally.detectors.update([diagnostic.source for diagnostic in found])
    severities = [diagnostic.severity for diagnostic in found if not diagnostic.suppressed]
    tally.severities.update(severities)
    tally.suppressed += len(found) - len(severities)


def details(diagnostic: Diagnostic, path: str) -> str:
    """The fields for :data:`DETAIL_COLUMNS`."""
    end_line, end_column = diagnostic.end_line, diagnostic.end_column
    numbers = (
        f"{SEVERITY_OF_NAME[diagnostic.severity]}{FIELD}{diagnostic.line}{FIELD}"
        f"{diagnostic.column}{FIELD}{NULL if end_line is None else end_line}{FIELD}"
        f"{NULL if end_column is None else end_column}{FIELD}"
        f"{'t' if diagnostic.suppressed else 'f'}"
    )
    return FIELD.join(
        (
            numbers,
            diagnostic.source,
            diagnostic.code,
            path,
            diagnostic.message,
            diagnostic.snippet,
            diagnostic.fix,
            diagnostic.url,
        )
    )


def selected_details(file: File, source: Source, positions: Iterable[int]) -> Iterator[str]:
    """The fields for :data:`DETAIL_COLUMNS` of the findings at these places in the file's list."""
    for diagnostic in file.selected(positions):
        _name_sources((diagnostic,), source)
        trim(diagnostic, Tally())
        yield details(diagnostic, file.path)


def _content_of(diagnostic: Diagnostic) -> int:
    """Changes when anything does that is shown of an issue and is no part of its identity."""
    text = (
        f"{diagnostic.line} {diagnostic.column} {diagnostic.end_line} {diagnostic.end_column} "
        f"{diagnostic.severity} {diagnostic.suppressed} {diagnostic.message}{FIELD}"
        f"{diagnostic.snippet}{FIELD}{diagnostic.fix}{FIELD}{diagnostic.url}"
    )
    return crc32(text.encode()) - _SIGN


def _name_sources(found: Iterable[Diagnostic], source: Source) -> None:
    for diagnostic in found:
        if source.forced or not diagnostic.source:
            diagnostic.source = source.name


def _fingerprints(found: list[Diagnostic]) -> list[int]:
    """Each finding's fingerprint as a number, no two alike.

    A client that gives two findings of a file the same fingerprint still means two findings; they
    are told apart by their order.
    """
    numbers = [_fingerprint_number(diagnostic.fingerprint) for diagnostic in found]
    if len(set(numbers)) == len(numbers):
        return numbers
    seen: Counter[int] = Counter()
    for at in sorted(range(len(found)), key=lambda at: (found[at].line, found[at].column, at)):
        number = numbers[at]
        seen[number] += 1
        if seen[number] > 1:
            numbers[at] = _digest_number(f"{number:032x}#{seen[number]}")
    return numbers


def _fingerprint_number(text: str) -> int:
    """128 bits of any text; 32 hex digits are taken as they are."""
    if len(text) == FINGERPRINT_LENGTH:
        try:
            number = int(text, 16)
        except ValueError:
            return _digest_number(text)
        if number >= 0:
            return number
    return _digest_number(text)


def _digest_number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest())


_BOUNDS = (
    ("source", limits.MAX_DETECTOR_LENGTH),
    ("code", limits.MAX_RULE_LENGTH),
    ("message", limits.MAX_MESSAGE_LENGTH),
    ("snippet", limits.MAX_SNIPPET_LENGTH),
    ("fix", limits.MAX_FIX_LENGTH),
    ("url", limits.MAX_URL_LENGTH),
)
_SHORTEST = min(bound for _, bound in _BOUNDS)


def trim(diagnostic: Diagnostic, tally: Tally) -> None:
    """Shorten texts to what the hub keeps, and count it."""
    if (
        len(diagnostic.source) <= _SHORTEST
        and len(diagnostic.code) <= limits.MAX_RULE_LENGTH
        and len(diagnostic.message) <= limits.MAX_MESSAGE_LENGTH
        and len(diagnostic.snippet) <= limits.MAX_SNIPPET_LENGTH
        and len(diagnostic.fix) <= limits.MAX_FIX_LENGTH
        and len(diagnostic.url) <= limits.MAX_URL_LENGTH
    ):
        return
    tally.trimmed += 1
    for name, bound in _BOUNDS:
        text = getattr(diagnostic, name)
        if len(text) > bound:
            setattr(diagnostic, name, text[: bound - 1] + "…")
