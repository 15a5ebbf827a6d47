"""What a picture is, by its own first bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as some

from guardian import images
from guardian.images import MAX_SIDE, Picture, picture_of
from odavl.wire.errors import InvalidPayload, RefusedError, UnsupportedMedia
from tests.guardian.results import jpeg, png

SIDES = some.integers(1, MAX_SIDE)


def header_of_png(width: int, height: int) -> bytes:
    start = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
    return start + struct.pack(">II", width, height) + bytes(9)


def in_pieces(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@given(width=SIDES, height=SIDES, size=some.integers(1, 40))
def test_sides_are_read_however_the_bytes_come(width: int, height: int, size: int) -> None:
    made = header_of_png(width, height)
    assert picture_of(in_pieces(made, size)) == Picture("image/png", width, height)
    photo = jpeg(width, height)
    assert picture_of(in_pieces(photo, size)) == Picture("image/jpeg", width, height)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (MAX_SIDE, 1), (1, MAX_SIDE)])
def test_sides_that_may_be(width: int, height: int) -> None:
    assert picture_of([header_of_png(width, height)]).width == width


@pytest.mark.parametrize(
    ("width", "height"), [(0, 1), (1, 0), (MAX_SIDE + 1, 1), (1, MAX_SIDE + 1), (2**32 - 1, 5)]
)
def test_sides_that_may_not_be(width: int, height: int) -> None:
    with pytest.raises(InvalidPayload):
        picture_of([header_of_png(width, height)])


def test_a_png_is_refused_wherever_its_header_is_cut() -> None:
    whole = header_of_png(3, 2)
    for end in range(24):
        with pytest.raises(UnsupportedMedia if end < 8 else InvalidPayload):
            picture_of([whole[:end]])
    assert picture_of([whole[:24]]) == Picture("image/png", 3, 2)


def test_a_jpeg_is_refused_wherever_it_is_cut_before_its_size() -> None:
    whole = jpeg(640, 480)
    needed = whole.index(b"\xff\xc0") + 9
    for end in range(needed):
        with pytest.raises(UnsupportedMedia if end < 3 else InvalidPayload):
            picture_of([whole[:end]])
    assert picture_of([whole[:needed]]) == Picture("image/jpeg", 640, 480)


FRAMES = sorted(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC})


@pytest.mark.parametrize("marker", FRAMES)
def test_every_frame_of_a_jpeg_tells_its_size(marker: int) -> None:
    body = jpeg(5, 4).replace(b"\xff\xc0", bytes((0xFF, marker)))
    assert picture_of([body]) == Picture("image/jpeg", 5, 4)


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC, 0xDB, 0xE1, 0xFE])
def test_what_is_no_frame_is_passed_over(marker: int) -> None:
    other = bytes((0xFF, marker)) + struct.pack(">H", 17) + b"\x08\x00\x09\x00\x09" + bytes(10)
    assert picture_of([jpeg(5, 4, before=other)]) == Picture("image/jpeg", 5, 4)


@pytest.mark.parametrize("marker", [0x01, *range(0xD0, 0xD9)])
def test_a_marker_that_stands_alone_has_no_length(marker: int) -> None:
    assert picture_of([jpeg(5, 4, before=bytes((0xFF, marker)))]).width == 5


@pytest.mark.parametrize("fill", [1, 2, 7])
def test_a_marker_may_be_filled_up(fill: int) -> None:
    assert picture_of([jpeg(5, 4, before=b"\xff" * fill)]).height == 4


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_shorter_than_its_own_length_ends_the_search(length: int) -> None:
    with pytest.raises(InvalidPayload):
        picture_of([jpeg(5, 4, before=b"\xff\xe0" + struct.pack(">H", length))])


def test_a_size_behind_a_megabyte_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_LOOKED_AT", 100)
    taken = []

    def pieces() -> Iterator[bytes]:
        for piece in in_pieces(
            jpeg(5, 4, before=b"\xff\xfe" + struct.pack(">H", 200) + bytes(198)), 10
        ):
            taken.append(piece)
            yield piece

    with pytest.raises(InvalidPayload):
        picture_of(pieces())
    assert len(taken) == 10


@given(body=some.binary(max_size=200), kind=some.sampled_from([b"", png()[:16], jpeg()[:20]]))
def test_any_bytes_are_a_picture_or_refused(body: bytes, kind: bytes) -> None:
    try:
        found = picture_of([kind + body])
    except RefusedError:
        return
    assert found.content_type in ("image/png", "image/jpeg")
    assert 0 < found.width <= MAX_SIDE
    assert 0 < found.height <= MAX_SIDE
