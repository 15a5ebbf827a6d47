"""Lines and columns of regions that are given by offsets."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.engines.insight.sarif_regions import Offsets, Place
from odavl.wire.sarif import Region
from tests.engines.sarif_logs import only, read, run


def region(**fields) -> Region:
    return msgspec.convert(fields, Region)


@pytest.fixture
def offsets(tmp_path):
    (tmp_path / "a.txt").write_bytes("one\r\ntwö x\rthree\n".encode())
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbfone\ntwo\n")
    (tmp_path / "binary").write_bytes(b"a\0\nb")
    return Offsets(tmp_path)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"charOffset": 0, "charLength": 3}, (1, 1, 1, 4)),
        ({"charOffset": 5, "charLength": 3}, (2, 1, 2, 4)),
        ({"charOffset": 9, "charLength": 3}, (2, 5, 3, 2)),
        ({"charOffset": 11}, (3, 1, 3, 1)),
        ({"charOffset": 16, "charLength": 99}, (3, 6, 4, 1)),
        ({"charOffset": 17}, (4, 1, 4, 1)),
        ({"charOffset": 18}, (0, 0, None, None)),
        ({"byteOffset": 5, "byteLength": 4}, (2, 1, 2, 4)),
        ({"byteOffset": 10, "byteLength": 1}, (2, 5, 2, 6)),
        ({"byteOffset": 99}, (0, 0, None, None)),
        ({"startLine": 7, "charOffset": 0}, (7, 0, None, None)),
        ({}, (0, 0, None, None)),
    ],
)
def test_offsets_become_lines_and_columns(offsets, fields, expected):
    assert offsets.place_of(region(**fields), "a.txt") == Place(*expected)


def test_a_byte_order_mark_is_no_character_but_three_bytes(offsets):
    assert offsets.place_of(region(charOffset=4), "bom.txt")[:2] == (2, 1)
    assert offsets.place_of(region(byteOffset=7), "bom.txt")[:2] == (2, 1)


@pytest.mark.parametrize("path", ["binary", "none.txt", "../a.txt\0"])
def test_what_is_no_text_has_no_lines(offsets, path):
    assert offsets.place_of(region(charOffset=0), path) == Place()
    assert Offsets(None).place_of(region(charOffset=0), "a.txt") == Place()


def test_each_file_is_its_own(offsets):
    assert offsets.place_of(region(charOffset=5), "a.txt")[:2] == (2, 1)
    assert offsets.place_of(region(charOffset=5), "bom.txt")[:2] == (2, 2)


@given(st.text("ab\r\né", max_size=40), st.data())
def test_both_kinds_of_offset_say_the_same(tmp_path_factory, text, data):
    root = tmp_path_factory.mktemp("x")
    (root / "a").write_bytes(text.encode())
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, len(text) - start))
    before, inside = text[:start].encode(), text[start : start + length].encode()
    offsets = Offsets(root)
    by_char = offsets.place_of(region(charOffset=start, charLength=length), "a")
    by_byte = offsets.place_of(region(byteOffset=len(before), byteLength=len(inside)), "a")
    assert by_char == by_byte
    assert by_char.line >= 1


def test_a_finding_by_offset_has_its_line_and_its_text(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    place = {"artifactLocation": {"uri": "a.txt"}, "region": {"charOffset": 4, "charLength": 3}}
    one = {"message": {"text": "x"}, "locations": [{"physicalLocation": place}]}
    found = only(read(run(one), root=tmp_path))
    assert (found.line, found.column, found.end_column, found.snippet) == (2, 1, 4, "two")
    assert only(read(run(one))).line == 0
