"""Bandit: security rules for Python."""

from __future__ import annotations

import configparser
from collections.abc import Iterable
from pathlib import Path

import msgspec

from odavl.engines.insight.detectors.interface import (
    Assignment,
    Detector,
    Reading,
    decode_output,
    message_of,
    position,
)
from odavl.engines.insight.readable import read_settings
from odavl.engines.insight.severity import bandit_severity
from odavl.engines.running.processes import Command, Finished, ProgramFailed
from odavl.engines.running.programs import Program, python_program
from odavl.wire.analysis import Diagnostic


class _Finding(msgspec.Struct):
    filename: str
    issue_text: str
    issue_severity: str
    issue_confidence: str
    test_id: str
    line_number: int
    line_range: list[int] = []
    col_offset: int = -1
    end_col_offset: int = -1
    more_info: str = ""


class _Unread(msgspec.Struct):
    filename: str
    reason: str


class _Report(msgspec.Struct):
    results: list[_Finding]
    errors: list[_Unread] = []


_DECODER = msgspec.json.Decoder(_Report)
_LEVELS = {"1": "low", "2": "medium", "3": "high"}


class Bandit(Detector):
    """By hand: ``bandit -r .`` where only the project's own files lie (as in a fresh clone).

    Bandit by hand also walks into ``.venv`` and whatever else Git ignores; we name the files. Of a
    ``.bandit`` file, which bandit reads with ``-r``, the choice of tests, files and levels counts.
    Its other options could have bandit write to any file, so the file itself is not handed over.
    Bandit's plugins are installed packages: nothing of the project is executed.
    """

    name = "bandit"
    categories = ("security",)
    install = "pip install bandit"
    weight = 4

    def find(self, root: Path) -> Program | None:
        return python_program("bandit", root)

    def takes(self, path: str) -> bool:
        return path.endswith(".py")

    def commands(self, assignment: Assignment) -> Iterable[Command]:
        chosen = tuple(_chosen_options(assignment.root / ".bandit"))
        for portion in assignment.portions():
            yield Command(
                (
                    *assignment.program.command,
                    "--format",
                    "json",
                    "--quiet",
                    *chosen,
                    "--",
                    *portion,
                )
            )

    def read(self, finished: Finished, assignment: Assignment) -> Reading:
        report = decode_output(_DECODER, finished.stdout)
        reading = Reading()
        for each in report.results:
            path = assignment.path_of(each.filename)
            if path is not None:
                reading.add(path, _diagnostic(each))
        if report.errors:
            for unread in report.errors:
                path = assignment.path_of(unread.filename)
                if path is not None:
                    reading.unread[path] = message_of(unread.reason)
            reading.detail = f"Could not be parsed: {', '.join(sorted(reading.unread))}"
        return reading


def _chosen_options(file: Path) -> Iterable[str]:
    """What a ``.bandit`` file chooses, as options.

    Raises :class:`ProgramFailed` if it is broken.
    """
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read_string(read_settings(file))
        own = dict(settings["bandit"]) if settings.has_section("bandit") else {}
    except FileNotFoundError:
        return
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise ProgramFailed(f"The file .bandit could not be read: {error}") from error
    for name, option in (("skips", "--skip"), ("tests", "--tests"), ("exclude", "--exclude")):
        if own.get(name):
            yield f"{option}={own[name]}"
    for name, option in (("level", "--severity-level"), ("confidence", "--confidence-level")):
        if own.get(name) in _LEVELS:
            yield f"{option}={_LEVELS[own[name]]}"
    if own.get("ignore-nosec", "").lower() in {"1", "true", "yes", "on"}:
        yield "--ignore-nosec"


def _diagnostic(found: _Finding) -> Diagnostic:
    on_one_line = len(found.line_range) <= 1
    return Diagnostic(
        severity=bandit_severity(found.issue_severity, found.issue_confidence),
        message=message_of(found.issue_text),
        source=Bandit.name,
        code=found.test_id,
        line=position(found.line_number),
        column=position(found.col_offset + 1),
        end_line=position(max(found.line_range, default=found.line_number)),
        # Bandit gives the end of the statement's last line, and -1 where it does not know.
        end_column=position(found.end_col_offset + 1) or None if on_one_line else None,
        url=found.more_info,
    )
