"""Which tests execute which functions, and how long each takes: measured once, kept."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coverage
import pytest


@dataclass
class Reach:
    """What is known of the tests, by their files.

    ``files`` holds for each test file the digest of its text and, for each of its tests that
    passed, the seconds it took, those of the processor among them, and by source file the
    functions it executed, as ``Class.method``.
    """

    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Reach:
        if not path.exists():
            return cls()
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(self.files), encoding="utf-8")
        temporary.replace(path)

    def is_known(self, root: Path, file: str) -> bool:
        return self.files.get(file, {}).get("digest") == digest(root / file)

    def seconds(self, test: str) -> float:
        """As long as it took: on a machine that does other things, too, much longer than alone."""
        return self._of(test, "seconds")

    def work(self, test: str) -> float:
        """The seconds of processor time it took, which other programs change little."""
        return self._of(test, "work")

    def _of(self, test: str, what: str) -> float:
        known = self.files.get(test.partition("::")[0], {}).get("tests", {}).get(test, {})
        return float(known.get(what, 0))

    def reaching(self, file: str, function: str | None) -> list[str]:
        """The tests that execute ``function``, or anything of ``file``; the quickest first."""
        found = []
        for known in self.files.values():
            for test, run in known["tests"].items():
                functions = run["functions"].get(file, ())
                if functions if function is None else function in functions:
                    found.append((run["work"], test))
        return [test for _, test in sorted(found)]

    def passing(self, folders: Iterable[str]) -> list[str]:
        """All tests below ``folders``, the quickest first."""
        below = tuple(f"{folder}/" for folder in folders)
        found = [
            (run["work"], test)
            for file, known in self.files.items()
            if file.startswith(below)
            for test, run in known["tests"].items()
        ]
        return [test for _, test in sorted(found)]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Recorder:
    """A pytest plugin that notes what each test executes of ``sources``."""

    def __init__(self, root: Path, sources: Iterable[str]) -> None:
        self._root = root
        # The other way to measure, on newer Pythons, tells each line to the first test only.
        os.environ["COVERAGE_CORE"] = "ctrace"
        self._coverage = coverage.Coverage(
            data_file=None,
            include=[str(root / name) for name in sources],
            messages=False,
            config_file=False,
        )
        self._seconds: dict[str, float] = {}
        self._work: dict[str, float] = {}
        self._failed: set[str] = set()

    def start(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._coverage.switch_context(item.nodeid)
        began = time.process_time()
        try:
            return (yield)
        finally:
            self._work[item.nodeid] = time.process_time() - began

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # What a first test sets up for all others is not its own.
        if report.when == "call":
            self._seconds[report.nodeid] = report.duration
        if not report.passed:
            self._failed.add(report.nodeid)

    def tests(self) -> dict[str, Any]:
        """Of each test that passed: seconds, and functions by file."""
        self._coverage.stop()
        found: dict[str, Any] = {
            test: {
                "seconds": round(seconds, 3),
                "work": round(self._work[test], 3),
                "functions": {},
            }
            for test, seconds in self._seconds.items()
            if test not in self._failed
        }
        data = self._coverage.get_data()
        for measured in data.measured_files():
            path = Path(measured)
            functions = function_at(path.read_text(encoding="utf-8"))
            name = path.relative_to(self._root).as_posix()
            for line, tests in data.contexts_by_lineno(measured).items():
                function = functions.get(line)
                for test in tests if function else ():
                    if test in found:
                        found[test]["functions"].setdefault(name, set()).add(function)
        for run in found.values():
            run["functions"] = {name: sorted(run) for name, run in run["functions"].items()}
        return found


def function_at(source: str) -> dict[int, str]:
    """For each line inside of a function's body, its outermost function with its class."""
    found: dict[int, str] = {}

    def look(nodes: Iterable[ast.stmt], names: tuple[str, ...]) -> None:
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                look(node.body, (*names, node.name))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = ".".join((*names, node.name))
                last = node.end_lineno or node.lineno
                found.update(dict.fromkeys(range(node.body[0].lineno, last + 1), name))
            else:
                for part in ("body", "orelse", "finalbody"):
                    look(getattr(node, part, ()), names)

    look(ast.parse(source).body, ())
    return found
