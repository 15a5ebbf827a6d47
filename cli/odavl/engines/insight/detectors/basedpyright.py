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
    Detector,
    Job,
    Reading,
    Tool,
    decode_output,
    has_suffix,
    last_words,
    message_of,
    position,
)
from odavl.engines.insight.detectors.programs import python_tool
from odavl.engines.insight.processes import Command, Finished
from odavl.engines.insight.severity import pyright_severity
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
_WHITE_SPACE = re.compile(r"\s")


class Basedpyright(Detector):
    """By hand: ``basedpyright --pythonpath <interpreter> <files>``.

    The project's settings (``pyrightconfig.json`` or ``pyproject.toml``) and its baseline are
    obeyed. Where there are no settings, only errors count: basedpyright's own choice then warns of
    every type it cannot know.

    Left alone, it would start the interpreter that it finds in the project's ``.venv``. So the
    interpreter is named: that of the activated environment, else the one that runs us. Packages of
    an environment that the settings name are read, not executed.
    """

    name = "basedpyright"
    categories = ("types", "correctness")
    install = "pip install basedpyright"
    weight = 10

    def find(self, root: Path) -> Tool | None:
        return python_tool("basedpyright", root)

    def takes(self, path: str) -> bool:
        return has_suffix(path, (".py", ".pyi"))

    def commands(self, job: Job) -> Iterable[Command]:
        level = () if _is_configured(job.root) else ("--level", "error")
        start = (
            *job.tool.command, "--outputjson", "--pythonpath", _interpreter(), *level,
            *_baseline_options(job),
        )  # fmt: skip
        # All files at once come by standard input, where white space ends a name.
        plain = [path for path in job.files if not _WHITE_SPACE.search(path)]
        if plain:
            yield Command((*start, "-"), stdin="\n".join(plain).encode() + b"\n")
        spaced = tuple(path for path in job.files if _WHITE_SPACE.search(path))
        for portion in replace(job, files=spaced).portions():
            yield Command((*start, *portion))

    def read(self, finished: Finished, job: Job) -> Reading:
        # Notes may stand before the document.
        document = finished.stdout[max(finished.stdout.find(b"{"), 0) :]
        reading = Reading()
        for each in decode_output(_DECODER, document).general_diagnostics:
            path = job.path_of(each.file)
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
            tools = tomllib.loads((folder / "pyproject.toml").read_text("utf-8")).get("tool", {})
        except (OSError, ValueError):
            continue
        if "basedpyright" in tools or "pyright" in tools:
            return True
    return False


def _baseline_options(job: Job) -> tuple[str, ...]:
    """The project's baseline holds, but in a copy: basedpyright takes out of it what is fixed."""
    baseline = job.root / _BASELINE
    for name in ("pyrightconfig.json", "pyproject.toml"):
        settings = job.root / name
        text = settings.read_text("utf-8", "replace") if settings.is_file() else ""
        named = _BASELINE_SETTING.search(text)
        if named:
            baseline = job.root / named[1]
            break
    if not baseline.is_file():
        return ()
    copy = job.scratch / "baseline.json"
    copy.write_bytes(baseline.read_bytes())
    return ("--baselinefile", str(copy))


def _interpreter() -> str:
    environment = os.environ.get("VIRTUAL_ENV")
    if environment:
        name = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
        active = Path(environment) / name
        if active.is_file():
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
