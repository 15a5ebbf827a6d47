"""Detectors side by side, and one document of what they all say."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

import odavl
from odavl.engines.insight.detectors import DETECTORS
from odavl.engines.insight.detectors.interface import Assignment, Detector, Reading
from odavl.engines.insight.files import GIT_TIMEOUT, Selection, select_files
from odavl.engines.insight.fingerprints import assign_fingerprints
from odavl.engines.insight.readable import changed_since, states_of
from odavl.engines.insight.secret_text import strike_out_secrets
from odavl.engines.insight.source_text import SourceFiles
from odavl.engines.running.processes import Processes, ProgramFailed, ending_of, scratch_folder
from odavl.engines.running.programs import Program, version_of
from odavl.engines.running.side_by_side import Ended, Event, Work, milliseconds_since, side_by_side
from odavl.wire import limits
from odavl.wire.analysis import (
    AnalysisResults,
    DetectorReport,
    DetectorStatus,
    Diagnostic,
    Metrics,
    Scope,
    Tool,
    UnreadFile,
)
from odavl.wire.encoding import visible
from odavl.wire.errors import UsageError

DETECTOR_TIMEOUT = 600
"""Seconds that one detector may take."""

_CODE_SUFFIXES = (".py", ".pyi", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")


@dataclass(frozen=True, slots=True)
class DetectorProgress:
    """One detector has moved on. ``finished`` of ``total`` detectors have ended."""

    detector: str
    state: Literal["running", "finished"]
    finished: int
    total: int
    report: DetectorReport | None = None
    """What became of it, once it is ``finished``."""


class DetectorInfo(msgspec.Struct, kw_only=True, rename="camel"):
    """What can be said of a detector without running it."""

    name: str
    categories: tuple[str, ...]
    installed: bool
    version: str
    path: str
    install: str
    executes_project_code: bool
    stands_in_for: str


@dataclass(slots=True)
class _Outcome:
    report: DetectorReport
    diagnostics: dict[str, list[Diagnostic]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


Progress = Callable[[DetectorProgress], None]


def analyze(
    root: Path,
    *,
    detectors: Sequence[str] | None = None,
    files: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    on_progress: Progress | None = None,
    timeout: float = DETECTOR_TIMEOUT,
) -> AnalysisResults:
    """Run detectors over the project at ``root``; the document lacks only the state of Git.

    ``detectors`` are names (all that are installed by default), ``files`` relative paths of files
    or folders to look at (the whole project by default), ``exclude`` patterns as in ``.gitignore``,
    ``timeout`` seconds for each detector. ``on_progress`` is called in the caller's thread.

    A detector that is missing, fails, is late or has no files is reported as such and never as "0
    findings"; files that it could not look at are named in its report.
    Raises :class:`UsageError` for an unknown detector, a root that is no folder and a file outside.
    An interruption kills what runs and is raised again.
    """
    started, analysed_at = time.monotonic(), datetime.now(UTC)
    root = root.resolve()
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder.")
    chosen = _choose(root, detectors)
    selection = select_files(
        root, files=files, exclude=exclude, git_timeout=min(GIT_TIMEOUT, timeout)
    )
    states = states_of(root, selection.files)
    run = _Run(root, selection, Processes(root), timeout)
    outcomes = run.side_by_side(chosen, on_progress or (lambda _progress: None))
    _tell_unread(chosen, outcomes, selection, changed_since(root, states))
    diagnostics = _merge(outcomes)
    _complete(root, diagnostics)
    return AnalysisResults(
        diagnostics=diagnostics,
        tool=Tool(version=odavl.__version__),
        scope=Scope(
            detectors=[each.report for each in outcomes],
            files=None if selection.scope is None else list(selection.scope),
        ),
        metrics=Metrics(
            files_analyzed=_count_taken(chosen, selection),
            duration_ms=milliseconds_since(started),
            code_lines=_count_code_lines(root, selection),
        ),
        analysed_at=analysed_at,
    )


def list_detectors(root: Path) -> list[DetectorInfo]:
    """All detectors, installed or not, as a project at ``root`` would find them."""
    root = root.resolve()
    processes = Processes(root)

    def find(detector: Detector) -> Program | None:
        tool = detector.find(root)
        return tool and replace(tool, version=version_of(tool, processes))

    with ThreadPoolExecutor(len(DETECTORS)) as threads:
        try:
            tools = list(threads.map(find, DETECTORS))
        except BaseException:
            processes.stop()
            raise
    return [_info(detector, tool) for detector, tool in zip(DETECTORS, tools, strict=True)]


def _info(detector: Detector, tool: Program | None) -> DetectorInfo:
    return DetectorInfo(
        name=detector.name,
        categories=detector.categories,
        installed=tool is not None,
        version=tool.version if tool else "",
        path=tool.path if tool else "",
        install=detector.install,
        executes_project_code=detector.executes_project_code,
        stands_in_for=detector.stands_in_for,
    )


def _choose(root: Path, names: Sequence[str] | None) -> list[Detector]:
    """The named detectors; or all, with a stand-in only where what it stands in for is missing."""
    known = {detector.name: detector for detector in DETECTORS}
    if names is not None:
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            wrong = f"Unknown detector: {', '.join(unknown)}." if unknown else "No detector named."
            raise UsageError(f"{wrong} There are: {', '.join(known)}.")
        return [detector for name, detector in known.items() if name in names]
    return [detector for detector in DETECTORS if _is_wanted(detector, known, root)]


def _is_wanted(detector: Detector, known: dict[str, Detector], root: Path) -> bool:
    """A stand-in is wanted where it is there and the one it stands in for is not."""
    if not detector.stands_in_for:
        return True
    return known[detector.stands_in_for].find(root) is None and detector.find(root) is not None


class _Run:
    """One analysis: what to look at, and the programs under way."""

    def __init__(
        self, root: Path, selection: Selection, processes: Processes, timeout: float
    ) -> None:
        self._root = root
        self._selection = selection
        self._looked_at = frozenset(selection.files)
        self._processes = processes
        self._timeout = timeout

    def side_by_side(self, detectors: list[Detector], on_progress: Progress) -> list[_Outcome]:
        """Run each in a slot of its own; the outcomes in the order given."""
        named = {detector.name: detector for detector in detectors}

        def tell(event: Event[_Outcome]) -> None:
            outcome = event.ended and _outcome_of(named[event.name], event.ended)
            on_progress(
                DetectorProgress(
                    detector=event.name,
                    state=event.state,
                    finished=event.finished,
                    total=event.total,
                    report=outcome.report if outcome else None,
                )
            )

        works = [Work(each.name, partial(self.run_one, each), each.weight) for each in detectors]
        ended = side_by_side(works, self._processes, tell)
        return [_outcome_of(*each) for each in zip(detectors, ended, strict=True)]

    def run_one(self, detector: Detector) -> _Outcome:
        """The detector's findings, or why there are none."""
        deadline = time.monotonic() + self._timeout
        program = detector.find(self._root)
        if program is None:
            return _without_findings(detector, "not-installed", detector.install)
        program = replace(
            program, version=version_of(program, self._processes, timeout=self._timeout)
        )
        refused = self._refused(detector)
        files = tuple(
            path for path in self._selection.files if detector.takes(path) and path not in refused
        )
        if not files:
            reason = "There are no files for it here."
            outcome = _without_findings(detector, "skipped", reason, program.version)
            outcome.unread = refused
            return outcome
        try:
            reading = self._run_commands(detector, program, files, deadline)
        except ProgramFailed as failure:
            return _without_findings(detector, "failed", str(failure), program.version)
        return _Outcome(
            DetectorReport(
                name=detector.name,
                version=program.version,
                findings=sum(map(len, reading.diagnostics.values())),
                detail=reading.detail[: limits.MAX_MESSAGE_LENGTH],
            ),
            reading.diagnostics,
            {**reading.unread, **refused},
        )

    def _refused(self, detector: Detector) -> dict[str, str]:
        """Files that would be the detector's, and that its tool cannot be given."""
        return {
            path: reason
            for path in self._selection.files
            if detector.takes(path) and (reason := detector.refuses(path, self._root))
        }

    def _run_commands(
        self, detector: Detector, program: Program, files: tuple[str, ...], deadline: float
    ) -> Reading:
        whole = Reading()
        details = []
        with scratch_folder() as scratch:
            assignment = Assignment(
                root=self._root,
                program=program,
                files=files,
                looked_at=self._looked_at,
                all_files=self._selection.project,
                whole=self._selection.scope is None,
                scratch=scratch,
            )
            for command in detector.commands(assignment):
                finished = self._processes.run(command, deadline=deadline)
                if finished.exit_code not in command.success:
                    raise ProgramFailed(ending_of(finished, detector.failure(finished)))
                reading = detector.read(finished, assignment)
                for path, found in reading.diagnostics.items():
                    _name_no_machine(found, self._root)
                    whole.diagnostics.setdefault(path, []).extend(found)
                whole.unread.update(reading.unread)
                if reading.detail:
                    details.append(reading.detail)
        whole.detail = "; ".join(details)
        return whole


def _outcome_of(detector: Detector, ended: Ended[_Outcome]) -> _Outcome:
    """What came of it, with how long that took."""
    outcome = ended.result or _without_findings(detector, "failed", ended.failure)
    outcome.report.duration_ms = ended.milliseconds
    return outcome


def _name_no_machine(found: list[Diagnostic], root: Path) -> None:
    """Make the paths in messages relative: the same finding reads the same on every machine."""
    for each in found:
        each.message = each.message.replace(f"{root}{os.sep}", "")


def _without_findings(
    detector: Detector, status: DetectorStatus, detail: str, version: str = ""
) -> _Outcome:
    detail = detail[: limits.MAX_MESSAGE_LENGTH]
    return _Outcome(
        DetectorReport(name=detector.name, version=version, status=status, detail=detail)
    )


def _tell_unread(
    detectors: Sequence[Detector],
    outcomes: Sequence[_Outcome],
    selection: Selection,
    changed: dict[str, str],
) -> None:
    """Complete the reports of those that ran with all that they did not look at, or not for sure.

    One that did not run says so already, and looked at nothing.
    """
    for detector, outcome in zip(detectors, outcomes, strict=True):
        if outcome.report.status not in {"ran", "skipped"}:
            continue
        unread = {path: why for path, why in changed.items() if detector.takes(path)}
        unread |= outcome.unread
        unread |= {
            each.path: each.reason
            for each in selection.unread
            if each.path.endswith("/") or detector.takes(each.path)
        }
        outcome.report.unread_count = len(unread)
        outcome.report.unread_files = [
            UnreadFile(path=visible(path), reason=why[: limits.MAX_MESSAGE_LENGTH])
            for path, why in sorted(unread.items())[: limits.MAX_UNREAD_FILES]
        ]


def _merge(outcomes: Iterable[_Outcome]) -> dict[str, list[Diagnostic]]:
    """All findings by path, both sorted."""
    merged: dict[str, list[Diagnostic]] = {}
    for outcome in outcomes:
        for path, found in outcome.diagnostics.items():
            merged.setdefault(path, []).extend(found)
    for found in merged.values():
        found.sort(key=lambda each: (each.line, each.column, each.source, each.code, each.message))
    return dict(sorted(merged.items()))


def _complete(root: Path, diagnostics: dict[str, list[Diagnostic]]) -> None:
    """Fingerprints and snippets; secrets struck out last, so that they do count as text."""
    source = SourceFiles(root)
    assign_fingerprints(diagnostics, source.lines)
    strike_out_secrets(diagnostics, source.lines)


def _count_taken(detectors: list[Detector], selection: Selection) -> int:
    return sum(any(each.takes(path) for each in detectors) for path in selection.files)


def _count_code_lines(root: Path, selection: Selection) -> int:
    """Lines of code files that are not blank."""
    source = SourceFiles(root)
    return sum(
        sum(1 for line in source.lines(path) or () if line.strip())
        for path in selection.files
        if path.lower().endswith(_CODE_SUFFIXES)
    )
