"""Lines of files as detectors count them, and snippets."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from odavl.engines.insight.readable import read_regular_file
from odavl.wire import limits

MAX_SOURCE_SIZE = 20 * limits.MEBIBYTE
MAX_SNIPPET_LINES = 10

_LINE_END = re.compile(r"\r\n|\r|\n")

ReadLines = Callable[[str], Sequence[str] | None]
"""A path's lines without their ends, or None where they are not at hand."""


def without_sources(_path: str) -> Sequence[str] | None:
    """For documents that come without the files they speak of."""
    return None


class SourceFiles:
    """Reads files of one tree, the last one remembered."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._last: tuple[str, Sequence[str] | None] = ("", None)

    def lines(self, path: str) -> Sequence[str] | None:
        """The lines of a file, without their ends; None if it is no text of bearable size.

        A notebook has None too: detectors count the lines of its cells, not those of its JSON.
        """
        if self._last[0] != path:
            self._last = (path, self._read(path))
        return self._last[1]

    def _read(self, path: str) -> Sequence[str] | None:
        if path.endswith(".ipynb"):
            return None
        try:
            data = read_regular_file(self._root / path, limit=MAX_SOURCE_SIZE)
        except (OSError, ValueError):
            return None
        return None if b"\0" in data else split_lines(data.decode("utf-8", "replace"))


def split_lines(text: str) -> list[str]:
    """Lines as compilers count them: form feeds and Unicode separators end none."""
    return _LINE_END.split(text.removeprefix("\ufeff"))


def snippet_of(lines: Sequence[str], line: int, end_line: int | None = None) -> str:
    """The lines from ``line`` to ``end_line``, at most ten of them, within the wire's bound."""
    if not 0 < line <= len(lines):
        return ""
    last = min(max(end_line or line, line), line + MAX_SNIPPET_LINES - 1)
    text = "\n".join(each.rstrip() for each in lines[line - 1 : last])
    return text[: limits.MAX_SNIPPET_LENGTH]
