"""Lines of files as detectors count them, snippets, and secrets kept out of both.

What a detector calls a secret must not travel to the hub inside a snippet: the line is shown with
its values struck out, in every finding that shows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from odavl.engines.insight.readable import read_regular_file
from odavl.wire import limits
from odavl.wire.analysis import Diagnostic

MAX_SOURCE_SIZE = 20 * limits.MEBIBYTE
MAX_SNIPPET_LINES = 10
STRUCK_OUT = "***"

_LINE_END = re.compile(r"\r\n|\r|\n")
_URL_PASSWORD = re.compile(r"(?<=//)([^/\s:@]*):[^@\s]+@")
_QUOTED = re.compile(r"""(?P<quote>["'`])(?P<text>(?:\\.|(?!(?P=quote)).)*)(?P=quote)""")
_KEY = re.compile(r"[A-Za-z_.-]{1,40}")
_TOKEN = re.compile(r"(?=[\w+/=.~-]*\d)(?=[\w+/=.~-]*[A-Za-z])[\w+/=.~-]{8,}")
_VALUE = re.compile(r"(?<=[=:])\s*[^\s=:].*")
_SECRET_RULES = {
    "bandit": frozenset({"B105", "B106", "B107"}),
    "ruff": frozenset({"S105", "S106", "S107"}),
}
_SHORTEST_SECRET = 4
_LONGEST_LINE = 20_000


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


def is_secret(found: Diagnostic) -> bool:
    """Whether the finding says that its line holds a secret."""
    return found.source == "detect-secrets" or found.code in _SECRET_RULES.get(found.source, ())


def strike_out(line: str) -> str:
    """``line`` without the values in it: quoted texts, tokens, passwords in addresses.

    If none of these is found, all that follows the first ``=`` or ``:``, else the whole line.
    """
    struck = _URL_PASSWORD.sub(rf"\1:{STRUCK_OUT}@", line)
    struck = _QUOTED.sub(_strike_out_quoted, struck)
    struck = _TOKEN.sub(STRUCK_OUT, struck)
    if struck == line:
        struck = _VALUE.sub(f" {STRUCK_OUT}", line, count=1)
    return struck if struck != line else STRUCK_OUT


def _strike_out_quoted(match: re.Match[str]) -> str:
    return match[0] if _is_key(match) else f"{match['quote']}{STRUCK_OUT}{match['quote']}"


def _is_key(match: re.Match[str]) -> bool:
    """Whether it names a value, as in ``{"password": "x"}``; ``if password == "x":`` does not."""
    before = match.string[: match.start()].rstrip()
    after = match.string[match.end() :].lstrip()
    is_in_place = after.startswith(":") and (not before or before[-1] in "{,[(")
    return is_in_place and _KEY.fullmatch(match["text"]) is not None


def strike_out_secrets(diagnostics: Mapping[str, list[Diagnostic]], read_lines: ReadLines) -> None:
    """Strike out of snippets and messages what the findings of the same file call secrets."""
    for path, found in diagnostics.items():
        secret_lines = {each.line for each in found if is_secret(each)}
        if secret_lines:
            values = _values_on(secret_lines, read_lines(path) or ())
            _strike_out_on(secret_lines, values, found)


def _strike_out_on(secret_lines: set[int], values: list[str], found: list[Diagnostic]) -> None:
    for each in found:
        shown = each.snippet.split("\n")
        if any(each.line + offset in secret_lines for offset in range(len(shown))):
            each.snippet = "\n".join(
                strike_out(text) if each.line + offset in secret_lines else text
                for offset, text in enumerate(shown)
            )[: limits.MAX_SNIPPET_LENGTH]
            for value in values:
                each.message = each.message.replace(value, STRUCK_OUT)


def _values_on(secret_lines: set[int], lines: Sequence[str]) -> list[str]:
    """What stands in quotes on these lines, longest first."""
    values = {
        match["text"]
        for number in secret_lines
        if 0 < number <= len(lines)
        for match in _QUOTED.finditer(lines[number - 1][:_LONGEST_LINE])
        if not _is_key(match)
    }
    return sorted((each for each in values if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)
