"""Runs the tests that matter against each mistake, in forks of a process that has them loaded.

Imports and collection are paid for once. A mistake in a function is put into the loaded function
of a fork (``swapping``). What survives that, and what is no function's, is tried once more as it
would be by hand: written into a copy of the tree, and a fresh pytest started there.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mutants.isolation import TEMPLATE, environment, isolate, renew_database
from mutants.pool import Outcome, Pool, Task
from mutants.reach import Reach, Recorder, digest
from mutants.rooms import Room
from mutants.sources import Mutation
from mutants.swapping import swap

# Eight times what the tests took without a mistake. What turns round for ever is found by its
# processor time, which other programs change little; what waits for ever, by the clock.
_LIMIT_RATIO = 8
_LEAST_WORK_LIMIT = 60
_LEAST_LIMIT = 300
_RECORDING_LIMIT = 1800
# Of the tests that execute a function, so many seconds of work: the room's own come first.
_SECONDS_OF_TESTS = 40
_LEAST_WORK = 0.02
_OUTPUT_TAIL = 2_000
_NOTHING_RAN = 5


@dataclass
class Verdict:
    """What became of one mistake."""

    mutation: Mutation
    killed: bool
    by: str
    ran: list[str]
    seconds: float = 0.0
    output: str = ""


@dataclass
class Plan:
    """One run: what is tried, with which tests, and whom to tell."""

    root: Path
    copies: Sequence[Path]
    rooms: dict[str, Room]
    mutations: Sequence[Mutation]
    reach: Reach
    reach_file: Path
    tell: Callable[[str], None]
    verdict: Callable[[Verdict], None]
    controls: int = 0
    measures: bool = True
    false_alarms: list[str] = field(default_factory=list)


class Failures:
    """A pytest plugin that notes the first test that fails."""

    def __init__(self, stopping: pytest.Session | None) -> None:
        self._stopping = stopping
        self.first: str | None = None
        self.text = ""

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.first is None:
            self.first = report.nodeid
            if self._stopping is not None:  # makes pytest take down what the tests shared
                self._stopping.shouldfail = report.nodeid
            self.text = str(report.longrepr)[-_OUTPUT_TAIL:]


class Bench:
    """The pytest plugin in whose loop all happens once the tests are collected."""

    def __init__(self, plan: Plan, pool: Pool) -> None:
        self.plan = plan
        self._pool = pool
        self._items: dict[str, pytest.Item] = {}
        self._sources = [name for room in plan.rooms.values() for name in room.files(plan.root)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self.plan.tell(f"{len(self._items)} tests are loaded")
        self._make_template()
        self._record()
        self._pool.run(self._controls())
        self._pool.run([self._first(mutation) for mutation in self.plan.mutations])
        return True

    def _make_template(self) -> None:
        for item in self._items.values():
            names = getattr(item, "fixturenames", ())
            if "db" in names and "transactional_db" not in names:
                self._pool.run([Task(self._template_with(item), _must_succeed, _RECORDING_LIMIT)])
                return

    def _template_with(self, item: pytest.Item) -> Callable[[int, Path], None]:
        def work(slot: int, folder: Path) -> None:
            isolate(TEMPLATE, slot, folder)
            failures = _run([item])
            if failures.first:
                raise RuntimeError(failures.text)

        return work

    def _record(self) -> None:
        """Measure the tests of files that are new or have changed."""
        plan = self.plan
        files: dict[str, list[pytest.Item]] = {}
        for name, item in self._items.items():
            files.setdefault(name.partition("::")[0], []).append(item)
        for known in list(plan.reach.files):
            if not (plan.root / known).exists():
                del plan.reach.files[known]
        stale = [file for file in files if not plan.reach.is_known(plan.root, file)]
        if not plan.measures:
            stale = []
        if stale:
            plan.tell(f"Measuring which functions are reached by the tests of {len(stale)} files")
        self._pool.run([self._recording(file, files[file]) for file in stale])

    def _recording(self, file: str, items: list[pytest.Item]) -> Task:
        plan = self.plan

        def work(slot: int, folder: Path) -> Any:
            self._take(slot, folder)
            recorder = Recorder(plan.root, self._sources)
            recorder.start()
            _run(items, recorder, stops=False)
            return recorder.tests()

        def finish(outcome: Outcome) -> None:
            if outcome.result is None:
                plan.tell(f"  {file}: not measured\n{outcome.output[-_OUTPUT_TAIL:]}")
                return
            left = len(items) - len(outcome.result)
            failed = f", {left} did not pass" if left else ""
            plan.tell(f"  {file}: {len(outcome.result)} tests, {outcome.seconds:.0f} s{failed}")
            known = {"digest": digest(plan.root / file), "tests": outcome.result}
            plan.reach.files[file] = known
            plan.reach.save(plan.reach_file)

        return Task(work, finish, _RECORDING_LIMIT)

    def _controls(self) -> Iterable[Task]:
        """Some of the mutants without their mistake: whatever fails here would fail for nothing."""
        for mutation in self.plan.mutations[: self.plan.controls]:
            tests = self._tests_for(mutation)

            def finish(outcome: Outcome) -> None:
                failed = outcome.result["failed"] if outcome.result else outcome.output[-200:]
                if failed:
                    self.plan.false_alarms.append(failed)
                    self.plan.tell(f"  FAILS WITHOUT A MISTAKE: {failed}")

            if tests:
                yield Task(self._loaded(None, tests), finish, self._limit(tests))

    def _first(self, mutation: Mutation) -> Task:
        tests = self._tests_for(mutation)
        if mutation.mutant.function is None or not tests:
            return self._again(mutation)

        def finish(outcome: Outcome) -> Task | None:
            result = outcome.result or {}
            if outcome.is_late or outcome.result is None:
                self._tell(
                    mutation, _end_of(outcome), tests, outcome, outcome.output[-_OUTPUT_TAIL:]
                )
            elif result["failed"]:
                self._tell(mutation, result["failed"], tests, outcome, result["text"])
            else:
                return self._again(mutation)
            return None

        return Task(self._loaded(mutation, tests), finish, self._limit(tests))

    def _again(self, mutation: Mutation) -> Task:
        """In a fresh pytest, with the mistake in the file."""
        tests = self._tests_for(mutation) or self._tests_of_room(mutation)

        def finish(outcome: Outcome) -> None:
            changed = self.plan.copies[outcome.slot - 1] / mutation.mutant.file
            changed.write_text(mutation.original, encoding="utf-8")
            by = _failed_test(outcome)
            self._tell(mutation, by, tests, outcome, outcome.output[-_OUTPUT_TAIL:])

        return Task(self._fresh(mutation, tests), finish, self._limit(tests))

    def _tell(
        self, mutation: Mutation, by: str, tests: list[str], outcome: Outcome, output: str
    ) -> None:
        verdict = Verdict(mutation, bool(by), by, tests, round(outcome.seconds, 1), output)
        self.plan.verdict(verdict)

    def _loaded(self, mutation: Mutation | None, tests: list[str]) -> Callable[[int, Path], Any]:
        def work(slot: int, folder: Path) -> Any:
            if mutation is not None:
                mutant = mutation.mutant
                name = str(self.plan.root / mutant.file)
                function = mutant.function or ""
                if not swap(name, mutation.original, mutation.mutated, function):
                    return {"failed": None, "text": "not swapped"}
            self._take(slot, folder)
            self._limit_work(tests)
            failures = _run([self._items[test] for test in tests])
            return {"failed": failures.first, "text": failures.text}

        return work

    def _fresh(self, mutation: Mutation, tests: list[str]) -> Callable[[int, Path], Any]:
        def work(slot: int, folder: Path) -> None:
            renew_database(slot)
            self._limit_work(tests)
            copy = self.plan.copies[slot - 1]
            own = {**os.environ, **environment(slot, folder), "PYTHONPATH": python_path(copy)}
            # What the loaded suite has set for itself.
            for name in ("ODAVL_DATA", "ODAVL_HOME"):
                own.pop(name, None)
            (copy / mutation.mutant.file).write_text(mutation.mutated, encoding="utf-8")
            chosen = folder / "chosen"
            chosen.write_text("\n".join(tests), encoding="utf-8")
            os.chdir(copy)
            options = [*pytest_options(), "-x", "-rfE", "--tb=short", f"@{chosen}"]
            os.execve(sys.executable, [sys.executable, "-m", "pytest", *options], own)

        return work

    def _take(self, slot: int, folder: Path) -> None:
        renew_database(slot)
        isolate(f"slot{slot}", slot + 1, folder)

    def _tests_for(self, mutation: Mutation) -> list[str]:
        """Those that execute the function, the room's own first, for so many seconds of work."""
        mutant = mutation.mutant
        known = self.plan.reach.reaching(mutant.file, mutant.function)
        own = self.plan.rooms[mutant.room].tests
        return self._within(known, own)

    def _tests_of_room(self, mutation: Mutation) -> list[str]:
        own = self.plan.rooms[mutation.mutant.room].tests
        return self._within(self.plan.reach.passing(own), own)

    def _within(self, tests: Iterable[str], own: Iterable[str]) -> list[str]:
        below = tuple(f"{folder}/" for folder in own)
        ordered = sorted(tests, key=lambda test: not test.startswith(below))
        chosen: list[str] = []
        total = 0.0
        for test in ordered:
            cost = self.plan.reach.work(test) + _LEAST_WORK
            if test in self._items and total + cost <= _SECONDS_OF_TESTS:
                chosen.append(test)
                total += cost
        # Side by side, as what a file's tests share is made anew whenever it is left.
        files: dict[str, list[str]] = {}
        for test in chosen:
            files.setdefault(test.partition("::")[0], []).append(test)
        return [test for file in files.values() for test in file]

    def _limit(self, tests: Iterable[str]) -> float:
        return _LEAST_LIMIT + _LIMIT_RATIO * sum(map(self.plan.reach.seconds, tests))

    def _limit_work(self, tests: Iterable[str]) -> None:
        """Have the kernel end this process, and each that it starts."""
        work = _LEAST_WORK_LIMIT + _LIMIT_RATIO * sum(map(self.plan.reach.work, tests))
        resource.setrlimit(resource.RLIMIT_CPU, (int(work), int(work)))


def pytest_options() -> list[str]:
    return ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", *_django()]


def python_path(root: Path) -> str:
    return os.pathsep.join([str(root), str(root / "cli")])


def _django() -> list[str]:
    return ["--reuse-db"] if "DATABASE_URL" in os.environ or Path("manage.py").exists() else []


def _run(items: Sequence[pytest.Item], *plugins: object, stops: bool = True) -> Failures:
    """The items, until one fails."""
    failures = Failures(items[0].session if stops else None)
    config = items[0].config
    # It would write upon our terminal.
    config.pluginmanager.unregister(name="terminalreporter")
    for plugin in (failures, *plugins):
        config.pluginmanager.register(plugin)
    for item, following in zip(items, [*items[1:], None], strict=True):
        config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if stops and failures.first is not None:
            break
    return failures


def _must_succeed(outcome: Outcome) -> None:
    if outcome.exit_code:
        raise RuntimeError(f"The database could not be made:\n{outcome.output}")


def _failed_test(outcome: Outcome) -> str:
    """Whom a fresh pytest names; what else ended it; nothing where all passed."""
    if outcome.exit_code in {0, _NOTHING_RAN}:
        return ""
    for line in outcome.output.rpartition("short test summary info")[2].splitlines():
        word, _, rest = line.partition(" ")
        if word in {"FAILED", "ERROR"}:
            return rest.partition(" - ")[0]
    return _end_of(outcome)


def _end_of(outcome: Outcome) -> str:
    if outcome.is_late:
        return "time limit"
    if outcome.exit_code in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "processor time limit"
    return f"exit code {outcome.exit_code}"
