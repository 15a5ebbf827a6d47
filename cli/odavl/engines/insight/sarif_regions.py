"""Lines and columns of a SARIF region that is given by offsets (§3.30.9 to §3.30.12)."""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

from odavl.engines.insight.readable import read_regular_file
from odavl.engines.insight.source_text import MAX_SOURCE_SIZE
from odavl.wire.sarif import Region

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(r"\r\n|\r|\n")


class Place(NamedTuple):
    """1-based lines and columns, columns in characters; 0 or None where nobody knows."""

    line: int = 0
    column: int = 0
    end_line: int | None = None
    end_column: int | None = None


def told_place(region: Region) -> Place:
    """The lines and columns that the region itself names."""
    return Place(
        region.start_line or 0,
        region.start_column or 0,
        region.end_line or None,
        region.end_column or None,
    )


class Offsets:
    """Finds offsets in the files of one tree; the last file is remembered."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._last = ("", _Content(None))

    def place_of(self, region: Region, path: str) -> Place:
        """Where the region lies, as far as the region or the file tells."""
        if region.start_line or (region.char_offset < 0 and region.byte_offset < 0):
            return told_place(region)
        if self._last[0] != path:
            self._last = (path, _Content(self._read(path)))
        return self._last[1].place_of(region)

    def _read(self, path: str) -> bytes | None:
        if self._root is None:
            return None
        try:
            data = read_regular_file(self._root / path, limit=MAX_SOURCE_SIZE)
        except (OSError, ValueError):
            return None
        return None if b"\0" in data else data


class _Content:
    def __init__(self, data: bytes | None) -> None:
        self._data = data.removeprefix(_BOM) if data is not None else None
        self._skipped = len(_BOM) if data is not None and data.startswith(_BOM) else 0
        self._text = self._data.decode("utf-8", "replace") if self._data is not None else ""
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(self._text))]

    def place_of(self, region: Region) -> Place:
        if self._data is None:
            return Place()
        if region.char_offset >= 0:
            start, end = region.char_offset, region.char_offset + max(region.char_length, 0)
        else:
            first = region.byte_offset - self._skipped
            start = self._characters(first)
            end = self._characters(first + max(region.byte_length, 0))
            if first > len(self._data):
                return Place()
        if start > len(self._text):
            return Place()
        return Place(*self._position(start), *self._position(min(end, len(self._text))))

    def _characters(self, size: int) -> int:
        """How many there are in the first ``size`` bytes."""
        return len((self._data or b"")[: max(size, 0)].decode("utf-8", "replace"))

    def _position(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
