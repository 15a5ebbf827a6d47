"""How a run's edits look."""

from __future__ import annotations

from typing import NamedTuple

from django import template

register = template.Library()


class DiffLine(NamedTuple):
    """``kind`` is ``add``, ``remove``, ``place`` (where the lines are) or ``same``."""

    kind: str
    text: str


@register.filter
def diff_lines(diff: str) -> list[DiffLine]:
    """The lines of a unified difference; its two lines of file names say nothing new."""
    lines = diff.splitlines()
    if len(lines) > 1 and lines[0].startswith("--- ") and lines[1].startswith("+++ "):
        lines = lines[2:]
    return [DiffLine(_kind(line), line) for line in lines]


def _kind(line: str) -> str:
    return {"+": "add", "-": "remove", "@": "place"}.get(line[:1], "same")
