"""The parser and the renderer that views get when they ask for no struct."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.utils.translation import gettext_lazy

from frame.bodies import MAX_DOCUMENT_SIZE
from frame.rendering import WireParser, WireRenderer
from odavl.wire.account import OrganizationSummary
from odavl.wire.errors import MalformedJson, PayloadTooLarge, RefusedError


def test_everything_that_answers_hold_has_a_form():
    document = {
        "struct": OrganizationSummary(id="1", slug="acme", name="Acme"),
        "moment": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "id": UUID(int=7),
        "text": gettext_lazy("Owner"),
    }
    assert json.loads(WireRenderer().render(document)) == {
        "struct": {"id": "1", "slug": "acme", "name": "Acme"},
        "moment": "2026-01-02T03:04:05Z",
        "id": "00000000-0000-0000-0000-000000000007",
        "text": "Owner",
    }
    assert WireRenderer().render(b'{"ready":1}') == b'{"ready":1}'
    assert WireRenderer().render(None) == b""


def test_what_has_no_form_is_a_defect():
    with pytest.raises(TypeError):
        WireRenderer().render({"x": object()})


def test_a_document_is_read():
    assert WireParser().parse(io.BytesIO(b'{"a": [1, null]}')) == {"a": [1, None]}


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'{"a": Infinity}', b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(MalformedJson):
        WireParser().parse(io.BytesIO(body))


@pytest.mark.parametrize("body", [b"1" * 5000, b"1e9999"])
def test_numbers_without_end_are_refused(body):
    with pytest.raises(RefusedError):
        WireParser().parse(io.BytesIO(body))


def test_no_more_is_read_than_the_bound():
    stream = io.BytesIO(b" " * (MAX_DOCUMENT_SIZE + 100))
    with pytest.raises(PayloadTooLarge):
        WireParser().parse(stream)
    assert stream.tell() == MAX_DOCUMENT_SIZE + 1
