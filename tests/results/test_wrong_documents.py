"""Whatever is wrong with a document, it is refused with its place; nothing else is ever raised."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from django.utils.functional import Promise
from hypothesis import given
from hypothesis import strategies as some

from autopilot.cycles import CYCLES
from guardian.page_tests import PAGE_TESTS
from odavl.wire import autopilot, guardian, limits
from odavl.wire.errors import RefusedError
from tests.results.products import AUTOPILOT, GUARDIAN, Product
from uploads.contents import content_of
from uploads.documents import unwatched
from uploads.results.kinds import Kind

AnyKind = Kind[Any, Any, Any, Any]
KINDS: list[tuple[AnyKind, Product]] = [(CYCLES, AUTOPILOT), (PAGE_TESTS, GUARDIAN)]
EACH = pytest.mark.parametrize(("kind", "product"), KINDS, ids=["autopilot", "guardian"])


def read(kind: AnyKind, document: Any) -> Any:
    """The row of a document, or of its bytes."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with content_of(body, compressed=False) as content:
        return kind.read(content, unwatched)


def refusal(kind: AnyKind, document: Any) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        read(kind, document)
    return refused.value


def pointers(error: RefusedError) -> list[str]:
    return [each.pointer for each in error.errors]


# ── Every field of the wire ──────────────────────────────────────────────────

Make = Callable[..., dict[str, Any]]


def within(product: Product, member: str, shape: Callable[[dict[str, Any]], Any] = dict) -> Make:
    """Makes documents of which ``member`` has the fields that are given, in that shape."""
    return lambda **fields: product.document(**{member: shape(fields)})


WIRES: dict[str, tuple[AnyKind, Make, type[msgspec.Struct]]] = {
    "ledger": (CYCLES, AUTOPILOT.document, autopilot.LedgerHeader),
    "edit": (
        CYCLES,
        within(AUTOPILOT, "edits", lambda fields: [AUTOPILOT.item(**fields)]),
        autopilot.Edit,
    ),
    "phase": (
        CYCLES,
        within(AUTOPILOT, "phases", lambda fields: {"act": {"status": "ok", **fields}}),
        autopilot.PhaseReport,
    ),
    "phases": (CYCLES, within(AUTOPILOT, "phases"), autopilot.Phases),
    "results": (PAGE_TESTS, GUARDIAN.document, guardian.PageResultsHeader),
    "check": (
        PAGE_TESTS,
        within(GUARDIAN, "tests", lambda fields: [GUARDIAN.item(**fields)]),
        guardian.PageCheck,
    ),
    "accessibility": (PAGE_TESTS, within(GUARDIAN, "accessibility"), guardian.Accessibility),
    "performance": (PAGE_TESTS, within(GUARDIAN, "performance"), guardian.Performance),
    "security": (PAGE_TESTS, within(GUARDIAN, "security"), guardian.Security),
    "summary": (PAGE_TESTS, within(GUARDIAN, "summary"), guardian.Summary),
}
"""Each struct that is uploaded: how a document with these fields of it is made."""

SAMPLES: dict[type, list[Any]] = {
    type(None): [None],
    bool: [True, False],
    int: [0, 7, -1, 2**31, 2**70],
    float: [0.5, -0.5, 1e300],
    str: ["", "word", "2026-01-02T03:04:05Z", "\x00", "w" * 5_000],
    list: [[], ["word"], [1], [None], [[]]],
    dict: [{}, {"word": "word"}, {"word": 1}],
}
FIELDS = [
    (wire, field.encode_name, field.type)
    for wire, (_kind, _make, struct) in WIRES.items()
    for field in msgspec.structs.fields(struct)
]


def fits(value: Any, kind: Any) -> bool:
    """Whether msgspec itself would take the value for a field of that type."""
    try:
        msgspec.json.decode(json.dumps(value).encode(), type=kind)
    except msgspec.ValidationError:
        return False
    return True


def wrong_values(kind: Any) -> Iterator[Any]:
    yield from (each for sample in SAMPLES.values() for each in sample if not fits(each, kind))


@pytest.mark.parametrize(("wire", "name", "field_type"), FIELDS)
def test_a_wrong_value_of_any_field_is_refused_at_its_place(
    wire: str, name: str, field_type: Any
) -> None:
    kind, make, _struct = WIRES[wire]
    for value in wrong_values(field_type):
        error = refusal(kind, make(**{name: value}))
        assert error.code in ("invalid_payload", "malformed_json"), (value, error)
        assert all(f"/{name}" in pointer for pointer in pointers(error)), (value, pointers(error))
        assert pointers(error)


@pytest.mark.parametrize(("wire", "name", "field_type"), FIELDS)
def test_a_value_that_fits_makes_a_row_that_a_database_holds(
    wire: str, name: str, field_type: Any
) -> None:
    """Within the columns' lengths and ranges, with nothing in it that PostgreSQL refuses."""
    kind, make, _struct = WIRES[wire]
    for sample in SAMPLES.values():
        for value in sample:
            if not fits(value, field_type) or (wire == "edit" and name == "path"):
                continue
            row = read(kind, make(**{name: value}))
            row.clean_fields(exclude={"organization", "project", "upload", *_empty(row)})
            assert "\\u0000" not in json.dumps([_plain(field, row) for field in row._meta.fields])


def _empty(row: Any) -> set[str]:
    """Columns without a value, which forms would ask to fill in."""
    nothing = (None, "", [], {})
    return {field.name for field in row._meta.fields if getattr(row, field.attname) in nothing}


def _plain(field: Any, row: Any) -> Any:
    value = getattr(row, field.attname)
    return value if isinstance(value, str | int | float | list | dict | bool) else str(value)


@EACH
def test_fields_that_must_be_there(kind: AnyKind, product: Product) -> None:
    for field in msgspec.structs.fields(WIRES[product.upload_type.replace("test-", "")][2]):
        document = product.document()
        document.pop(field.encode_name, None)
        if field.required:
            error = refusal(kind, document)
            assert field.encode_name in str(error.detail) + str(error.errors)
        else:
            read(kind, document)


@EACH
def test_members_that_nobody_knows_are_no_fault(kind: AnyKind, product: Product) -> None:
    strange = {"new": {"deep": [{}]}, "": 0}
    document = product.document(**strange)
    document[product.items] = [{**product.item(), **strange}]
    read(kind, document)


# ── Bounds ───────────────────────────────────────────────────────────────────

BOUNDS = [
    ("ledger", "runId", ["x", "x" * 200], ["", "x" * 201]),
    ("ledger", "trustScore", [0, 1, 1.0, 0.0], [-1e-9, 1.0000001]),
    ("ledger", "filesModified", [0, 2**31 - 1], [-1, 2**31]),
    ("phase", "durationMs", [0, 2**53 - 1], [-1, 2**53]),
    ("results", "testRunId", ["x", "x" * 200], ["", "x" * 201]),
    ("accessibility", "score", [0, 100], [-0.1, 100.1]),
    ("accessibility", "violations", [0, 2**31 - 1], [-1, 2**31]),
    ("accessibility", "incomplete", [0, 2**31 - 1], [-1, 2**31]),
    ("accessibility", "passes", [0, 2**31 - 1], [-1, 2**31]),
    ("performance", "lcp", [0, 1e12], [-1, 1.1e12]),
    ("performance", "cls", [0, 1e12], [-0.1, 1e13]),
    ("security", "vulnerabilities", [0, 2**31 - 1], [-1, 2**31]),
    ("security", "warnings", [0, 2**31 - 1], [-1, 2**31]),
    ("summary", "passed", [0, 2**31 - 1], [-1, 2**31]),
    ("summary", "failed", [0, 2**31 - 1], [-1, 2**31]),
    ("summary", "warnings", [0, 2**31 - 1], [-1, 2**31]),
]


@pytest.mark.parametrize(("wire", "name", "within", "beyond"), BOUNDS)
def test_bounds_hold_exactly(wire: str, name: str, within: list[Any], beyond: list[Any]) -> None:
    kind, make, _struct = WIRES[wire]
    for value in within:
        read(kind, make(**{name: value}))
    for value in beyond:
        [pointer] = pointers(refusal(kind, make(**{name: value})))
        assert pointer.endswith(f"/{name}")


# ── Cut, torn, doubled ───────────────────────────────────────────────────────


@EACH
def test_a_document_that_is_cut_anywhere_is_refused(kind: AnyKind, product: Product) -> None:
    body = json.dumps(product.document()).encode()
    read(kind, body)
    for end in range(len(body)):
        refusal(kind, body[:end])


@EACH
@pytest.mark.parametrize("tail", [b"x", b"{}", b"]", b",", b"\x00", b'"'])
def test_nothing_may_follow_a_document(kind: AnyKind, product: Product, tail: bytes) -> None:
    body = json.dumps(product.document()).encode()
    read(kind, body + b" \n\t\r")
    refusal(kind, body + tail)
    refusal(kind, body + b" " + tail)


@EACH
@pytest.mark.parametrize("value", ["null", "1", '"x"', "{}", "true"])
def test_the_list_is_a_list(kind: AnyKind, product: Product, value: str) -> None:
    document = product.document(**{product.items: "HERE"})
    body = json.dumps(document).replace('"HERE"', value).encode()
    assert pointers(refusal(kind, body)) == [f"/{product.items}"]


@EACH
def test_the_list_stands_once_even_if_its_name_is_written_otherwise(
    kind: AnyKind, product: Product
) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in product.items)
    body = json.dumps(product.document())[:-1] + f', "{escaped}": []}}'
    assert pointers(refusal(kind, body.encode())) == [f"/{product.items}"]


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)


@EACH
@given(data=some.data())
def test_any_json_in_any_place_is_taken_or_refused(
    kind: AnyKind, product: Product, data: some.DataObject
) -> None:
    document = product.document()
    name = data.draw(some.sampled_from([*document, product.items, "new"]))
    document[name] = data.draw(JSON)
    try:
        row = read(kind, json.dumps(document).encode())
    except RefusedError:
        return
    assert row.sha256
    assert len(getattr(row, product.column)) <= limits.MAX_RUN_ID_LENGTH


@EACH
@given(data=some.data())
def test_bytes_that_are_torn_are_taken_or_refused(
    kind: AnyKind, product: Product, data: some.DataObject
) -> None:
    body = bytearray(json.dumps(product.document()).encode())
    for _ in range(data.draw(some.integers(1, 4))):
        place = data.draw(some.integers(0, len(body) - 1))
        body[place] = data.draw(some.integers(0, 255))
    with suppress(RefusedError):
        read(kind, bytes(body))


# ── A kind says itself consistently ──────────────────────────────────────────


@EACH
def test_a_kind_and_its_model_agree(kind: AnyKind, product: Product) -> None:
    """Filters and sortings name columns; a sorting tells every two rows apart, none is NULL."""
    columns = {field.name: field for field in kind.model._meta.fields}
    for word, sort in kind.filter.sorts.items():
        assert isinstance(sort.label, Promise)
        names = [name.removeprefix("-") for name in sort.columns]
        assert names[-1] == "id"
        assert not any(columns[name].null for name in names)
        assert word.startswith("-") == sort.columns[0].startswith("-")
    assert {kind.name, "sha256"} <= set(columns)
    unique = [set(each.fields) for each in kind.model._meta.constraints]
    assert {"organization", kind.name} in unique
