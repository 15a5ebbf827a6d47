"""What goes to a terminal: text made safe, tables, and a line that shows progress."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from math import ceil
from typing import Self

import click

# C0 and C1 controls, DEL, zero-width and bidirectional controls, line separators, lone surrogates
# and tag characters: in a file's name or a hub's answer they could move the cursor, hide text or
# turn it round.
_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_UNSAFE_BUT_LINES = _UNSAFE.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f")
PROGRESS_AFTER = 1.0
"""Seconds; what is done sooner shows no progress."""

_BAR_WIDTH = 24
_NARROWEST_BAR = 6
_REDRAW_EVERY = 0.1
_TWO_DIGITS, _FOUR_DIGITS = 0xFF, 0xFFFF
_USUAL_COLUMNS = 79
_USUAL_LINES = 24


def printable(text: str, *, lines: bool = False) -> str:
    r"""``text`` with what could deceive a reader shown as ``\x1b`` or ``\u202e``.

    With ``lines``, line feeds stay.
    """
    if text.isascii() and text.isprintable():
        return text  # compiling the pattern is felt at the start of a command
    return re.sub(_UNSAFE_BUT_LINES if lines else _UNSAFE, _escaped, text)


def table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """``rows`` in columns under ``heads``; cells are made printable."""
    cells = [list(heads), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return "\n".join(lines)


def back_over(text: str) -> str:
    """What takes a terminal back to before ``text`` was printed, and clears it from there on.

    Long lines take several rows. What has left the screen at its top stays above.
    """
    size = os.get_terminal_size(sys.stdout.fileno())
    columns, lines = size.columns or _USUAL_COLUMNS, size.lines or _USUAL_LINES
    rows = sum(max(1, ceil(len(line) / columns)) for line in text.split("\n"))
    return f"\x1b[{min(rows, lines - 1)}A\r\x1b[J"


def plural(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class ProgressLine:
    """One line on standard error, redrawn in place; on a terminal only, after a second.

    May be told from several threads. Use as a context manager: the line is gone at the end.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._started = time.monotonic()
        self._last = 0.0
        self._width = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._width:
            click.echo(f"\r{' ' * min(self._width, _columns())}\r", nl=False, err=True)

    def tell(self, what: str, share: float | None = None) -> None:
        """``share`` is from 0 to 1, None where it is not known."""
        now = time.monotonic()
        if not self._shown or now - self._started < PROGRESS_AFTER:
            return
        with self._lock:
            if now - self._last < _REDRAW_EVERY and share != 1:
                return
            self._last = now
            columns = _columns()
            line = progress_text(what, share, columns)
            # Not wider than the window is by now: what wraps could not be taken back.
            click.echo(f"\r{line.ljust(min(self._width, columns))}", nl=False, err=True)
            self._width = len(line)


def progress_text(what: str, share: float | None, columns: int) -> str:
    """At most ``columns`` characters: a bar where there is room for one, and how far it is."""
    text = printable(what)
    if share is None:
        return text[:columns]
    share = min(max(share, 0.0), 1.0)
    text = f"{share:4.0%}  {text}"
    width = min(_BAR_WIDTH, columns - len(text) - len("[] "))
    if width < _NARROWEST_BAR:
        return text[:columns].rstrip(" ,")
    filled = round(share * width)
    return f"[{'#' * filled}{'-' * (width - filled)}] {text}"


def _columns() -> int:
    """The window's width by now, less the column in which some terminals wrap."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return columns - 1 if columns > 1 else _USUAL_COLUMNS  # a terminal may not know its own


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= _TWO_DIGITS:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _FOUR_DIGITS else f"\\U{code:08x}"
