"""What a SARIF log says of the work of its tools: who ran, and what they could not look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from odavl.engines.insight.sarif_external import WholeRun
from odavl.engines.insight.sarif_paths import PROJECT_PATH, RunPaths
from odavl.wire import limits
from odavl.wire.analysis import DetectorReport, UnreadFile
from odavl.wire.encoding import visible
from odavl.wire.sarif import Notification, SarifRun

OWN_MARK = "odavl/"
"""In front of the ids of notifications by which our own SARIF says what the standard cannot."""

NOT_INSTALLED = "not-installed"
_DETAIL = frozenset({f"{OWN_MARK}{each}" for each in ("ran", "failed", "skipped", NOT_INSTALLED)})


class DetectorReports:
    """One report a detector: several runs of one tool and category are one."""

    def __init__(self) -> None:
        self._reports: dict[str, DetectorReport] = {}
        self._unread: dict[str, dict[str, str]] = {}
        self._left_out: dict[str, Counter[str]] = {}

    def add(
        self,
        whole: WholeRun,
        *,
        name: str,
        category: str,
        findings: int,
        undecided: Counter[str],
        paths: RunPaths,
        left_out: Counter[str],
    ) -> None:
        """``undecided`` are results by path that the tool could not decide, ``left_out`` all."""
        report = _report_of(whole, name, category)
        report.findings = findings
        self._left_out.setdefault(name, Counter()).update(left_out)
        unread = self._unread.setdefault(name, {})
        unread.update(_told_unread(whole.run, paths))
        for path, count in undecided.items():
            if path != PROJECT_PATH:
                unread[path] = f"the tool could not decide here ({count} open)"
        known = self._reports.setdefault(name, report)
        if known is not report:
            _merge(known, report)

    def all(self) -> list[DetectorReport]:
        for name, report in self._reports.items():
            unread = self._unread[name]
            if report.status == "ran" and not report.detail:
                report.detail = told_left_out(self._left_out[name])
            report.unread_count = len(unread)
            report.unread_files = [
                UnreadFile(path=path, reason=why[: limits.MAX_MESSAGE_LENGTH])
                for path, why in sorted(unread.items())[: limits.MAX_UNREAD_FILES]
            ]
        return list(self._reports.values())


def told_left_out(left_out: Counter[str]) -> str:
    """One sentence, empty where nothing was left out."""
    parts = [f"{count} {visible(kind)[:50]}" for kind, count in sorted(left_out.items())]
    return f"Left out, as they are no findings: {', '.join(parts)}." if parts else ""


def _report_of(whole: WholeRun, name: str, category: str) -> DetectorReport:
    run = whole.run
    driver = run.tool.driver
    report = DetectorReport(
        name=name,
        category=category,
        version=(driver.semantic_version or driver.version or "")[: limits.MAX_NAME_LENGTH],
    )
    own = _own_notification(run)
    if run.results is None:
        report.status, report.detail = "skipped", "The log holds no results of it."
    if not all(each.execution_successful for each in run.invocations):
        report.status, report.detail = "failed", _why_failed(run)
    if whole.lacks_results:
        report.status = "failed"
        report.detail = f"Its results lie in another file: {', '.join(whole.missing)}."
    if own is not None:
        if own.descriptor and own.descriptor.id == f"{OWN_MARK}{NOT_INSTALLED}":
            report.status = "not-installed"
        report.detail = own.message.text or ""
    report.detail = visible(report.detail)[: limits.MAX_MESSAGE_LENGTH]
    return report


def _own_notification(run: SarifRun) -> Notification | None:
    for each in _notifications(run):
        if each.descriptor is not None and each.descriptor.id in _DETAIL:
            return each
    return None


def _why_failed(run: SarifRun) -> str:
    for each in _notifications(run):
        if each.level == "error" and each.message.text:
            return each.message.text.strip()
    return "The log says that it did not run to its end."


def _told_unread(run: SarifRun, paths: RunPaths) -> Iterator[tuple[str, str]]:
    """§3.58: an error of the tool that names a file is a file that it did not look at."""
    for each in _notifications(run):
        if each.level == "error":
            for location in each.locations:
                path, _ = paths.place_of(location)
                if path != PROJECT_PATH:
                    yield path, visible((each.message.text or "").strip())


def _notifications(run: SarifRun) -> Iterator[Notification]:
    for invocation in run.invocations:
        yield from invocation.tool_execution_notifications


def _merge(known: DetectorReport, report: DetectorReport) -> None:
    """Failed if one failed, skipped if all were."""
    known.findings += report.findings
    known.version = report.version or known.version
    if known.status == "skipped" or report.status == "failed":
        known.status, known.detail = report.status, report.detail
