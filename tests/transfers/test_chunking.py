"""Where payloads are cut: the same bytes give the same chunks, and an insertion costs about one."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from odavl.hub.transfer.chunking import chunks_of, cut
from odavl.wire.analysis import AnalysisResults, Diagnostic

LARGEST = 64 * 1024
"""Small chunks, so that a document of some megabytes has many."""

Findings = dict[str, list[Diagnostic]]


def finding(source: random.Random) -> Diagnostic:
    return Diagnostic(
        severity="low",
        message="Line too long " + "x" * source.randrange(80),
        source="ruff",
        code="E501",
        line=source.randrange(1, 5_000),
        fingerprint=f"{source.getrandbits(128):032x}",
    )


def findings(count: int, seed: int = 1) -> Findings:
    source = random.Random(seed)
    found: Findings = {}
    while count > 0:
        size = min(count, source.choice((1, 3, 10, 40, 200)))
        path = f"src/{source.randrange(10**9)}/module.py"
        found[path] = [finding(source) for _ in range(size)]
        count -= size
    return found


def encoded(diagnostics: Findings) -> bytes:
    return msgspec.json.encode(AnalysisResults(diagnostics=diagnostics))


def chunks(payload: bytes, *, piece: int = 262_144, largest: int = LARGEST) -> list[str]:
    names, at = [], 0
    pieces = (payload[start : start + piece] for start in range(0, len(payload), piece))
    for size in cut(pieces, largest=largest):
        assert 0 < size <= largest
        names.append(hashlib.sha256(payload[at : at + size]).hexdigest())
        at += size
    assert at == len(payload)
    return names


def new_after(change: Any, before: Findings) -> int:
    """How many chunks are not known from before ``change``."""
    known = set(chunks(encoded(before)))
    changed = {path: list(found) for path, found in before.items()}
    change(changed)
    return len(set(chunks(encoded(changed))) - known)


DOCUMENT = findings(20_000)
WHOLE = chunks(encoded(DOCUMENT))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(min_value=0), st.integers(min_value=0), st.integers(min_value=0))
def test_one_finding_more_costs_at_most_two_chunks(file: int, place: int, seed: int) -> None:
    path = list(DOCUMENT)[file % len(DOCUMENT)]

    def insert(changed: Findings) -> None:
        changed[path].insert(place % (len(changed[path]) + 1), finding(random.Random(seed)))

    assert len(WHOLE) > 100
    assert new_after(insert, DOCUMENT) <= 2


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(min_value=0))
def test_one_finding_less_costs_at_most_two_chunks(file: int) -> None:
    path = list(DOCUMENT)[file % len(DOCUMENT)]
    assert new_after(lambda changed: changed[path].pop(), DOCUMENT) <= 2


def test_a_new_file_costs_about_a_chunk() -> None:
    def add(changed: Findings) -> None:
        more = dict(changed)
        changed.clear()
        changed["a/new.py"] = [finding(random.Random(7)) for _ in range(5)]
        changed.update(more)

    assert new_after(add, DOCUMENT) <= 2


def test_other_metrics_cost_the_last_chunk_alone() -> None:
    results = AnalysisResults(diagnostics=DOCUMENT)
    results.metrics.duration_ms = 12_345
    assert len(set(chunks(msgspec.json.encode(results))) - set(WHOLE)) <= 2


def test_the_cuts_do_not_depend_on_how_the_bytes_come() -> None:
    payload = encoded(findings(3_000, seed=3))
    for piece in (1_000, 4_097, 65_536, len(payload)):
        assert chunks(payload, piece=piece) == chunks(payload)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=4_000), st.integers(min_value=8, max_value=500))
def test_any_bytes_are_cut_whole(payload: bytes, largest: int) -> None:
    chunks(payload, piece=97, largest=largest)


def test_no_chunk_is_small_and_none_too_large() -> None:
    sizes = list(cut([encoded(DOCUMENT)], largest=LARGEST))
    # The first has nothing before it, the last nothing behind it.
    assert min(sizes[1:-1]) >= LARGEST // 4
    assert LARGEST * 0.4 < sum(sizes) / len(sizes) < LARGEST * 0.65


def test_changes_all_over_cost_about_a_chunk_each() -> None:
    """In the mean; one that becomes a cut, or takes one away, changes a neighbour as well."""
    source = random.Random(5)
    paths = [path for path, found in DOCUMENT.items() for _ in found]
    costs = []
    for _ in range(60):
        path = source.choice(paths)
        more = finding(source)

        def insert(changed: Findings, path: str = path, more: Diagnostic = more) -> None:
            changed[path].insert(source.randrange(len(changed[path]) + 1), more)

        costs.append(new_after(insert, DOCUMENT))
    assert max(costs) <= 3
    assert sum(costs) / len(costs) < 1.2


def test_chunks_are_the_bytes_between_the_cuts() -> None:
    payload = encoded(findings(3_000, seed=3))
    pieces = [payload[at : at + 5_000] for at in range(0, len(payload), 5_000)]
    found = [b"".join(chunk) for chunk in chunks_of(pieces, largest=LARGEST)]
    assert [len(chunk) for chunk in found] == list(cut(pieces, largest=LARGEST))
    assert b"".join(found) == payload


def test_what_has_no_records_is_cut_at_fixed_places() -> None:
    payload = random.Random(1).randbytes(5 * LARGEST + 1)
    sizes = list(cut([payload], largest=LARGEST))
    assert sizes == [LARGEST] * 5 + [1]


def test_equal_findings_do_not_make_a_chunk_each() -> None:
    same = finding(random.Random(1))
    assert len(chunks(encoded({"a.py": [same] * 20_000}))) < 200
