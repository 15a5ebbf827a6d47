"""A document read piece by piece says what the same document read whole says."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insight.large_payload import LargeDocument
from insight.payload import Header, ResidentDocument
from odavl.wire.encoding import gzip_compress
from odavl.wire.errors import InvalidPayload, RefusedError
from uploads.documents import Scanner

texts = st.text(max_size=20) | st.sampled_from(['"', "\\", '\\"', "{", "}]", '"}],', "a\\u0041"])
names = st.text(
    st.characters(exclude_characters="\x00/\\.:", exclude_categories=("Cs",)),
    min_size=1,
    max_size=8,
)
findings = st.fixed_dictionaries(
    {"severity": st.sampled_from(["low", "high"]), "message": texts, "line": st.integers(0, 99)},
    optional={
        "snippet": texts,
        "fix": texts,
        "unknown": st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | texts,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
            max_leaves=6,
        ),
    },
)
documents = st.fixed_dictionaries(
    {"diagnostics": st.dictionaries(names, st.lists(findings, max_size=4), max_size=4)},
    optional={
        "git": st.fixed_dictionaries({"branch": texts}),
        "metrics": st.fixed_dictionaries({"codeLines": st.integers(0, 9)}),
        "more": st.lists(texts, max_size=3),
    },
)


@given(
    document=documents,
    indent=st.sampled_from([None, 0, 3]),
    escaped=st.booleans(),
    step=st.integers(1, 64),
    order=st.randoms(use_true_random=False),
)
def test_both_readers_agree(
    document: dict[str, Any], indent: int | None, escaped: bool, step: int, order: Any
) -> None:
    members = list(document.items())
    order.shuffle(members)
    body = json.dumps(dict(members), indent=indent, ensure_ascii=escaped).encode()
    assert _read(_InSteps(body, step)) == _read(ResidentDocument(body))


class _InSteps(LargeDocument):
    """The reader fed with pieces of any size, to put a border everywhere."""

    def __init__(self, body: bytes, step: int) -> None:
        super().__init__(lambda: [gzip_compress(body)])
        self._pieces_of_body = [body[at : at + step] for at in range(0, len(body), step)]

    def _scanner(self) -> Scanner:
        return Scanner(iter(self._pieces_of_body))


def _read(document: LargeDocument | ResidentDocument) -> tuple[bytes, list[tuple[str, bytes]]]:
    header = document.header
    plain = Header(
        version=header.version,
        tool=header.tool,
        scope=header.scope,
        git=header.git,
        metrics=header.metrics,
    )
    files = [(file.path, msgspec.json.encode(file.diagnostics())) for file in document.files()]
    return msgspec.json.encode(plain), files


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"diagnostics"',
        b'{"diagnostics": {',
        b'{"diagnostics": {"a": [',
        b'{"diagnostics": {"a": ["',
        b'{"diagnostics": {}}x',
        b'{"diagnostics": {} "git": {}}',
        b'{"diagnostics": nope}',
        b'{"diagnostics": {"a.py": [}]}}',
        b'{"diagnostics": {"a.py": []}, "metrics": {"x": NaN}}',
        b'{"diagnostics": {"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
        b'{"git": {}}',
    ],
)
def test_what_is_no_document_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError):
        _read(LargeDocument(lambda: [gzip_compress(body)]))


def test_a_path_that_stands_twice_is_refused() -> None:
    body = b'{"diagnostics": {"a": [], "a": []}}'
    with pytest.raises(InvalidPayload):
        list(LargeDocument(lambda: [gzip_compress(body)]).files())


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    document = LargeDocument(lambda: [gzip_compress(b'{"diagnostics": {"a": [' + body)])
    with contextlib.suppress(RefusedError):
        assert _read(document)
