"""Ruff: lint rules of many families for Python."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from odavl.engines.insight.detectors.interface import (
    Assignment,
    Detector,
    Reading,
    decode_output,
    has_suffix,
    message_of,
    position,
)
from odavl.engines.insight.files import ALWAYS_EXCLUDED
from odavl.engines.insight.readable import holds_traps
from odavl.engines.insight.severity import ruff_severity
from odavl.engines.running.processes import Command, Finished
from odavl.engines.running.programs import Program, python_program
from odavl.wire.analysis import Diagnostic


class _Place(msgspec.Struct):
    row: int
    column: int


class _Fix(msgspec.Struct):
    message: str | None = None


class _Finding(msgspec.Struct):
    filename: str
    message: str
    location: _Place
    end_location: _Place
    code: str | None = None
    name: str | None = None
    url: str | None = None
    fix: _Fix | None = None


_UNREADABLE = "E902"
_DECODER = msgspec.json.Decoder(list[_Finding])


class Ruff(Detector):
    """By hand: ``ruff check .``, less what the run's excludes leave out.

    The project's ruff settings are obeyed: they are data, ruff has no plugins. Whatever they say,
    nothing is fixed. A run on some files, or in a tree with a FIFO or a device, gives them by name
    with ``--force-exclude``, so that ruff's own excludes hold for them too. No cache is written
    into the project.
    """

    name = "ruff"
    categories = ("correctness", "security", "style")
    install = "pip install ruff"
    weight = 1

    def find(self, root: Path) -> Program | None:
        return python_program("ruff", root)

    def takes(self, path: str) -> bool:
        name = path.rsplit("/", 1)[-1]
        return has_suffix(path, (".py", ".pyi", ".ipynb")) or name == "pyproject.toml"

    def commands(self, assignment: Assignment) -> Iterable[Command]:
        start = (
            *assignment.program.command, "check", "--output-format", "json", "--no-cache",
            "--no-fix", "--no-fix-only", "--no-show-fixes", "--force-exclude", "--",
        )  # fmt: skip
        # Ruff opens whatever it meets when it walks, and waits for a FIFO without an end.
        if assignment.whole and not holds_traps(assignment.root, ALWAYS_EXCLUDED):
            yield Command((*start, "."))
            return
        for portion in assignment.portions():
            yield Command((*start, *portion))

    def read(self, finished: Finished, assignment: Assignment) -> Reading:
        reading = Reading()
        for each in decode_output(_DECODER, finished.stdout):
            path = assignment.path_of(each.filename)
            if path is not None:
                reading.add(path, _diagnostic(each))
                if each.code == _UNREADABLE:
                    reading.unread[path] = message_of(each.message)
        return reading


def _diagnostic(found: _Finding) -> Diagnostic:
    code = found.code or found.name or "invalid-syntax"
    return Diagnostic(
        severity=ruff_severity(code),
        message=message_of(found.message),
        source=Ruff.name,
        code=code,
        line=position(found.location.row),
        column=position(found.location.column),
        end_line=position(found.end_location.row),
        end_column=position(found.end_location.column),
        fix=(found.fix.message or "") if found.fix else "",
        url=found.url or "",
    )
