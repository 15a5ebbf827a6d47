"""Vulture: Python code that nothing uses."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from odavl.engines.insight.detectors.interface import (
    Assignment,
    Detector,
    Reading,
    message_of,
    position,
)
from odavl.engines.insight.readable import read_settings
from odavl.engines.insight.severity import vulture_severity
from odavl.engines.running.processes import Command, Finished, ProgramFailed, last_words
from odavl.engines.running.programs import Program, python_program
from odavl.wire.analysis import Diagnostic

_LINE = re.compile(
    r"(?P<path>.+?):(?P<line>\d+): (?P<message>.+) \((?P<confidence>\d+)% confidence"
    r"(?:, (?P<size>\d+) lines?)?\)"
)
_KIND = re.compile(r"unused (?P<kind>\w+)|(?P<unreachable>unreachable|unsatisfiable|redundant)")
_OBEYED = ("exclude", "ignore_decorators", "ignore_names", "min_confidence")
_UNREADABLE_INPUT, _DEAD_CODE = 1, 3
_LONGEST_LINE = 10_000
"""Characters. Looking for a finding in a longer line could take very long, and it is none."""
_UNREAD = re.compile(
    r"Error: Could not read file (?P<path>.+?) - .*"
    r"|(?P<unparsed>.+?):(?:\d+:|None:)? (?P<reason>.+)"
)


class Vulture(Detector):
    """By hand: ``vulture <files>`` with the project's ``[tool.vulture]``.

    Vulture tells "unused" from all files together, so it always sees the whole project, and a run
    on some files keeps what it says of those. Of the settings, all but the paths and the form of
    the output count.
    """

    name = "vulture"
    categories = ("dead-code",)
    install = "pip install vulture"
    weight = 3
    # Its output names files in lines of text: what ends a line, or looks like a place in a file.
    unfit_name = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|:\d+: ")

    def find(self, root: Path) -> Program | None:
        return python_program("vulture", root)

    def takes(self, path: str) -> bool:
        return path.endswith(".py")

    def commands(self, assignment: Assignment) -> Iterable[Command]:
        # A settings file may list any number of paths, a command line may not.
        settings = assignment.scratch / "vulture.toml"
        files = [
            path
            for path in assignment.all_files
            if self.takes(path) and not self.refuses(path, assignment.root)
        ]
        settings.write_text(_settings(assignment.root / "pyproject.toml", files), "utf-8")
        yield Command(
            (*assignment.program.command, "--config", str(settings)),
            success=frozenset({0, _UNREADABLE_INPUT, _DEAD_CODE}),
        )

    def read(self, finished: Finished, assignment: Assignment) -> Reading:
        reading = Reading()
        for line in finished.stdout.decode("utf-8", "replace").splitlines():
            match = _LINE.fullmatch(line) if len(line) <= _LONGEST_LINE else None
            if match is None:
                raise ProgramFailed(f"Its output could not be read: {line[:200]}")
            path = assignment.path_of(match["path"])
            if path is not None:
                reading.add(path, _diagnostic(match))
        self._note_unread(finished, assignment, reading)
        is_explained = reading.unread or finished.exit_code != _UNREADABLE_INPUT
        if not is_explained or "Traceback" in finished.stderr:
            raise ProgramFailed(self.failure(finished) or "It gave no reason.")
        if finished.exit_code == _DEAD_CODE and not finished.stdout.strip():
            raise ProgramFailed("It says that it found something, and names nothing.")
        return reading

    def _note_unread(self, finished: Finished, assignment: Assignment, reading: Reading) -> None:
        """Files that could not be read or parsed, which it tells on standard error."""
        told = []
        for line in finished.stderr.splitlines():
            match = _UNREAD.fullmatch(line)
            path = assignment.path_of(match["path"] or match["unparsed"]) if match else None
            if match and path is not None:
                reading.unread[path] = message_of(match["reason"] or "it could not be decoded")
                told.append(line.strip())
        if told:
            reading.detail = f"Could not be parsed: {last_words(told[-1])}"


def _settings(project: Path, files: list[str]) -> str:
    try:
        own = tomllib.loads(read_settings(project)).get("tool", {}).get("vulture", {})
    except (OSError, ValueError):
        own = {}
    chosen = {name: own[name] for name in _OBEYED if name in own}
    # JSON's strings, numbers and lists of them are TOML's as well.
    values = {**chosen, "paths": files}
    rows = (f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
    return "[tool.vulture]\n" + "".join(rows)


def _diagnostic(match: re.Match[str]) -> Diagnostic:
    kind = _KIND.match(match["message"])
    if kind is None:
        code = "unused"
    else:
        code = f"unused-{kind['kind']}" if kind["kind"] else f"{kind['unreachable']}-code"
    return Diagnostic(
        severity=vulture_severity(code, int(match["confidence"])),
        message=message_of(f"{match['message']} ({match['confidence']} % confidence)"),
        source=Vulture.name,
        code=code,
        line=position(int(match["line"])),
    )
