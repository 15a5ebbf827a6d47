"""basedpyright: static types for Python. Brings its own Node."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import replace
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
from odavl.engines.insight.readable import read_regular_file, read_settings
from odavl.engines.insight.severity import pyright_severity
from odavl.engines.running.environment import is_trusted
from odavl.engines.running.processes import Command, Finished, ProgramFailed, last_words
from odavl.engines.running.programs import Program, python_program
from odavl.wire import limits
from odavl.wire.analysis import Diagnostic


class _Place(msgspec.Struct):
    line: int
    character: int


class _Range(msgspec.Struct):
    start: _Place
    end: _Place


class _Finding(msgspec.Struct):
    file: str
    severity: str
    message: str
    range: _Range | None = None
    rule: str = ""


class _Report(msgspec.Struct, rename="camel"):
    general_diagnostics: list[_Finding]


_DECODER = msgspec.json.Decoder(_Report)
_RULES = "https://docs.basedpyright.com/latest/configuration/config-files/#"
_BASELINE = Path(".basedpyright") / "baseline.json"
_BASELINE_SETTING = re.compile(r"""["']?baselineFile["']?\s*[:=]\s*["']([^"'\n]+)["']""")
_LARGEST_BASELINE = 100 * limits.MEBIBYTE
_WHITE_SPACE = re.compile(r"\s")


class Basedpyright(Detector):
    """By hand: ``basedpyright --pythonpath <interpreter> <files>``.

    The project's settings (``pyrightconfig.json`` or ``pyproject.toml``) and its baseline are
    obeyed. Where there are no settings, only errors count: basedpyright's own choice then warns of
    every type it cannot know.

    Left alone, it would start the interpreter that it finds in the project's ``.venv``. So the
    interpreter is named: that of the activated environment if it lies outside of the project, else
    the one that runs us. Packages of an environment that the settings name (``venvPath`` and
    ``venv``) are read, not executed.
    """

    name = "basedpyright"
    categories = ("types", "correctness")
    install = "pip install basedpyright"
    weight = 10
    unfit_name = re.compile(r"\\")  # it makes a slash of it, does not find the file, and ends

    def find(self, root: Path) -> Program | None:
        return python_program("basedpyright", root)

    def takes(self, path: str) -> bool:
        return has_suffix(path, (".py", ".pyi"))

    def commands(self, assignment: Assignment) -> Iterable[Command]:
        level = () if _is_configured(assignment.root) else ("--level", "error")
        start = (
            *assignment.program.command, "--outputjson",
            "--pythonpath", _interpreter(assignment.root), *level,
            *_baseline_options(assignment),
        )  # fmt: skip
        # All files at once come by standard input, where white space ends a name.
        plain = [path for path in assignment.files if not _WHITE_SPACE.search(path)]
        if plain:
            yield Command((*start, "-"), stdin="\n".join(plain).encode() + b"\n")
        spaced = tuple(path for path in assignment.files if _WHITE_SPACE.search(path))
        for portion in replace(assignment, files=spaced).portions():
            yield Command((*start, *portion))

    def read(self, finished: Finished, assignment: Assignment) -> Reading:
        # Notes may stand before the document.
        document = finished.stdout[max(finished.stdout.find(b"{"), 0) :]
        reading = Reading()
        for each in decode_output(_DECODER, document).general_diagnostics:
            path = assignment.path_of(each.file)
            if path is not None:
                reading.add(path, _diagnostic(each))
        if "could not be parsed" in finished.stderr:
            reading.detail = last_words(finished.stderr)
        return reading


def _is_configured(root: Path) -> bool:
    """Whether basedpyright finds settings in ``root`` or above it."""
    for folder in (root, *root.parents):
        if (folder / "pyrightconfig.json").is_file():
            return True
        try:
            tools = tomllib.loads(read_settings(folder / "pyproject.toml")).get("tool", {})
        except (OSError, ValueError):
            continue
        if "basedpyright" in tools or "pyright" in tools:
            return True
    return False


def _baseline_options(assignment: Assignment) -> tuple[str, ...]:
    """The project's baseline holds, but in a copy: basedpyright takes out of it what is fixed."""
    baseline = assignment.root / _BASELINE
    for name in ("pyrightconfig.json", "pyproject.toml"):
        settings = assignment.root / name
        try:
            text = read_settings(settings)
        except (OSError, ValueError):
            text = ""
        named = _BASELINE_SETTING.search(text)
        if named:
            baseline = assignment.root / named[1]
            break
    copy = assignment.scratch / "baseline.json"
    try:
        copy.write_bytes(read_regular_file(baseline, limit=_LARGEST_BASELINE))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ProgramFailed(f"Its baseline could not be read: {error}.") from error
    return ("--baselinefile", str(copy))


def _interpreter(root: Path) -> str:
    """What says where installed packages lie; an activated environment in the project does not."""
    environment = os.environ.get("VIRTUAL_ENV")
    if environment:
        name = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
        active = Path(environment) / name
        if active.is_file() and is_trusted(active.parent, root):
            return str(active)
    return sys.executable


def _diagnostic(found: _Finding) -> Diagnostic:
    place = found.range
    return Diagnostic(
        severity=pyright_severity(found.severity, found.rule),
        message=message_of(found.message),
        source=Basedpyright.name,
        code=found.rule or "syntax",
        line=position(place.start.line + 1) if place else 0,
        column=position(place.start.character + 1) if place else 0,
        end_line=position(place.end.line + 1) if place else None,
        end_column=position(place.end.character + 1) if place else None,
        url=f"{_RULES}{found.rule}" if found.rule else "",
    )
