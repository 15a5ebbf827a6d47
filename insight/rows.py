"""Findings as rows: identities, contents and the text that COPY takes.

This is the innermost loop of the hub, run once for every finding of every upload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

import msgspec

from insight.copying import FIELD, NULL
from insight.models import Severity
from insight.payload import File, Sighting
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


def keys_of(file: File, source: Source, tally: Tally) -> list[str]:
    """:data:`KEY_COLUMNS`' fields behind the ordinal, for each finding of one file.

    Only what recognises a finding is decoded. Whether the rest fits its schema is found out when
    it differs from what is known, and so was checked before.
    """
    sightings = file.sightings()
    if not all(sighting.fingerprint for sighting in sightings):
        return [key for key, _ in keyed(file, source, tally)]
    parts = file.parts()
    _name_sources(sightings, source)
    _count(sightings, tally)
    suspects = [
        at
        for at, (sighting, part) in enumerate(zip(sightings, parts, strict=True))
        if len(part) > _SURELY_SHORT
        or len(sighting.code) > limits.MAX_RULE_LENGTH
        or len(sighting.source) > limits.MAX_DETECTOR_LENGTH
    ]
    if suspects:
        tally.trimmed += sum(map(is_long, file.selected(suspects)))
    return _keys(file, sightings, parts)


def keyed(file: File, source: Source, tally: Tally) -> list[tuple[str, Diagnostic]]:
    """Each finding of one file with its fields for :data:`KEY_COLUMNS` behind the ordinal."""
    found = file.diagnostics()
    _name_sources(found, source)
    if not all(diagnostic.fingerprint for diagnostic in found):
        assign_fingerprints({file.path: found}, lambda _path: None)
    _count(found, tally)
    for diagnostic in found:
        if is_long(diagnostic):
            tally.trimmed += 1
            trim(diagnostic)
    return list(zip(_keys(file, found, file.parts()), found, strict=True))


def _keys(
    file: File, found: Sequence[Sighting | Diagnostic], parts: list[msgspec.Raw]
) -> list[str]:
    """Identity, fingerprint and content of each.

    The content is the checksum of what was sent: it changes when anything does that is shown.
    """
    path_number = _digest_number(file.path)
    numbers = _fingerprints(found)
    return [
        f"{_identity(number, path_number):032x}{FIELD}{number:032x}{FIELD}{crc32(part) - _SIGN}"
        for number, part in zip(numbers, parts, strict=True)
    ]


def _identity(fingerprint: int, path: int) -> int:
    """Both together.

    A client may take the file's name for a fingerprint: alike, the two would cancel each other out,
    and all such findings would be one.
    """
    return fingerprint ^ path or _digest_number(f"{fingerprint:032x}/")


def _count(found: Sequence[Sighting | Diagnostic], tally: Tally) -> None:
    tally.findings += len(found)
    tally.detectors.update([each.source for each in found])
    severities = [each.severity for each in found if not each.suppressed]
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
        if is_long(diagnostic):
            trim(diagnostic)
        yield details(diagnostic, file.path)


def _name_sources(found: Iterable[Sighting | Diagnostic], source: Source) -> None:
    for each in found:
        if source.forced or not each.source:
            each.source = source.name


def _fingerprints(found: Sequence[Sighting | Diagnostic]) -> list[int]:
    """Each finding's fingerprint as a number, no two alike.

    A client that gives two findings of a file the same fingerprint still means two findings; they
    are told apart by the order they come in.
    """
    numbers = [_fingerprint_number(each.fingerprint) for each in found]
    if len(set(numbers)) == len(numbers):
        return numbers
    seen: Counter[int] = Counter()
    for at, number in enumerate(numbers):
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
_SURELY_SHORT = min(bound for name, bound in _BOUNDS if name not in ("source", "code"))
"""A finding whose JSON is no longer than this has no text but ``source`` and ``code`` to trim."""


def is_long(diagnostic: Diagnostic) -> bool:
    """Whether it has a text that is longer than the hub keeps."""
    return (
        len(diagnostic.source) > limits.MAX_DETECTOR_LENGTH
        or len(diagnostic.code) > limits.MAX_RULE_LENGTH
        or len(diagnostic.message) > limits.MAX_MESSAGE_LENGTH
        or len(diagnostic.snippet) > limits.MAX_SNIPPET_LENGTH
        or len(diagnostic.fix) > limits.MAX_FIX_LENGTH
        or len(diagnostic.url) > limits.MAX_URL_LENGTH
    )


def trim(diagnostic: Diagnostic) -> None:
    """Shorten texts to what the hub keeps."""
    for name, bound in _BOUNDS:
        text = getattr(diagnostic, name)
        if len(text) > bound:
            setattr(diagnostic, name, text[: bound - 1] + "…")
