"""mypy: static types for Python, where basedpyright is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from odavl.engines.insight.detectors.interface import (
    Assignment,
    Detector,
    Reading,
    decode_output,
    has_suffix,
    is_one_line,
    message_of,
    position,
)
from odavl.engines.insight.severity import mypy_severity
from odavl.engines.running.processes import Command, Finished, ProgramFailed
from odavl.engines.running.programs import Program, python_program
from odavl.wire.analysis import Diagnostic


class _Finding(msgspec.Struct):
    file: str
    line: int
    column: int
    message: str
    severity: str
    code: str | None = None
    hint: str | None = None
    end_line: int | None = None
    end_column: int | None = None


_DECODER = msgspec.json.Decoder(_Finding)
_CODES = "https://mypy.readthedocs.io/en/stable/_refs.html#code-"


class Mypy(Detector):
    """By hand: ``mypy --config-file= <files>``.

    The project's mypy settings can name plugins, which mypy would import and run: they are not
    read. A file that does not parse stops mypy altogether, which is a failure and no result.
    """

    name = "mypy"
    categories = ("types", "correctness")
    install = "pip install mypy"
    stands_in_for = "basedpyright"
    weight = 9

    def find(self, root: Path) -> Program | None:
        return python_program("mypy", root)

    def takes(self, path: str) -> bool:
        return has_suffix(path, (".py", ".pyi"))

    def commands(self, assignment: Assignment) -> Iterable[Command]:
        # mypy must see all files at once; a file with the arguments has no length limit.
        listing = assignment.scratch / "files"
        plain = [path for path in assignment.files if is_one_line(path)]
        listing.write_text("".join(f"./{path}\n" for path in plain), "utf-8")
        others = [f"./{path}" for path in assignment.files if not is_one_line(path)]
        yield Command((
            *assignment.program.command, "--config-file=", f"--python-executable={sys.executable}",
            f"--cache-dir={assignment.scratch / 'cache'}", "--no-error-summary",
            "--explicit-package-bases", "--show-error-end", "--output=json", f"@{listing}", *others,
        ))  # fmt: skip

    def read(self, finished: Finished, assignment: Assignment) -> Reading:
        if finished.exit_code and not finished.stdout.strip():
            # It says that it found something, and names nothing: it broke down.
            raise ProgramFailed(f"Exit code {finished.exit_code}: {super().failure(finished)}")
        reading = Reading()
        for line in finished.stdout.splitlines():
            if not line.strip():
                continue
            each = decode_output(_DECODER, line)
            path = assignment.path_of(each.file)
            if path is not None:
                reading.add(path, _diagnostic(each))
        return reading

    def failure(self, finished: Finished) -> str:
        line = finished.stdout.partition(b"\n")[0]
        try:
            each = decode_output(_DECODER, line)
        except ProgramFailed:
            return super().failure(finished)
        return f"{each.file}:{each.line}: {each.message} (nothing else was checked)"


def _diagnostic(found: _Finding) -> Diagnostic:
    return Diagnostic(
        severity=mypy_severity(found.severity, found.code or ""),
        message=message_of(found.message),
        source=Mypy.name,
        code=found.code or "misc",
        line=position(found.line),
        column=position(found.column + 1),
        end_line=position(found.end_line) or None,
        end_column=position(found.end_column) or None,
        fix=found.hint or "",
        url=f"{_CODES}{found.code}" if found.code else "",
    )
