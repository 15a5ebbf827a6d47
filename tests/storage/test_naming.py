"""Names and types of files."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.wire.errors import UnsupportedMedia
from storage.naming import MAX_NAME_BYTES, allowed_type, safe_name
from storage.objects.disposition import attachment


@given(st.text(max_size=400))
def test_whatever_it_was_called_a_name_is_safe(name):
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= MAX_NAME_BYTES + 1
    assert not set(safe) & set('/\\<>:"|?*%')
    assert safe.strip(" .") == safe
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs") for c in safe)
    assert safe_name(safe) == safe, "a safe name is left alone"


@given(st.text(max_size=100))
def test_every_name_makes_one_header_line(name):
    header = attachment(safe_name(name))
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


@pytest.mark.parametrize("name", ["report.pdf", "Büro.txt", "نتائج.json", "a b (1).tar.gz"])
def test_usual_names_stay(name):
    assert safe_name(name) == name


def test_types_are_a_list_that_an_operator_can_widen(settings):
    assert allowed_type("Text/Plain; charset=utf-8") == "text/plain"
    with pytest.raises(UnsupportedMedia):
        allowed_type("application/x-sh")
    settings.STORAGE_CONTENT_TYPES = ["application/x-sh"]
    assert allowed_type("application/x-sh") == "application/x-sh"
