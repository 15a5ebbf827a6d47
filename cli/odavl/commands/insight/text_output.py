"""Results for a person: grouped by severity and file, worst first; then what did not run."""

from __future__ import annotations

from collections.abc import Iterator

import click

from odavl.commands.terminal import plural, printable
from odavl.wire.analysis import SEVERITIES, AnalysisResults, DetectorReport, Diagnostic, Severity

MOST_SHOWN = 25
"""Findings of one severity that are shown without ``-v``."""

MOST_UNREAD_SHOWN = 10
"""Files that were not checked, as above."""

LONGEST_MESSAGE = 160
_COLORS: dict[Severity, str] = {
    "critical": "red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "info": "blue",
}


def counts(results: AnalysisResults) -> dict[Severity, int]:
    """Findings by severity, worst first, without those that are suppressed."""
    found: dict[Severity, int] = dict.fromkeys(SEVERITIES, 0)
    for diagnostics in results.diagnostics.values():
        for diagnostic in diagnostics:
            if not diagnostic.suppressed:
                found[diagnostic.severity] += 1
    return found


def reports(results: AnalysisResults) -> list[DetectorReport]:
    """What became of each detector; none in the short form."""
    return results.scope.detectors if results.scope else []


def report(results: AnalysisResults, *, everything: bool, colored: bool) -> str:
    """The whole text. Without ``everything``, long lists are cut, and it says so."""
    lines: list[str] = []
    for severity in SEVERITIES:
        lines += _severity_lines(results, severity, everything=everything)
    lines += _detector_lines(results)
    lines += _unread_lines(results, everything=everything)
    lines += ["", summary(results)]
    text = "\n".join(lines).lstrip("\n")
    return text if colored else click.unstyle(text)


def summary(results: AnalysisResults) -> str:
    """One line: how many findings, in how many files, how severe."""
    found = counts(results)
    total = sum(found.values())
    suppressed = results.finding_count - total
    tail = f" ({suppressed:,} suppressed)" if suppressed else ""
    if not total:
        ran = any(each.status == "ran" for each in reports(results))
        told = "No findings" if ran or results.scope is None else "Nothing ran, so nothing is known"
        return f"{told}{tail}."
    files = sum(
        any(not each.suppressed for each in diagnostics)
        for diagnostics in results.diagnostics.values()
    )
    parts = ", ".join(f"{count:,} {severity}" for severity, count in found.items() if count)
    return f"{plural(total, 'finding')} in {plural(files, 'file')}: {parts}{tail}."


def _severity_lines(
    results: AnalysisResults, severity: Severity, *, everything: bool
) -> Iterator[str]:
    by_file = _of_severity(results, severity)
    total = sum(map(len, by_file.values()))
    if not total:
        return
    yield ""
    yield click.style(f"{severity.upper()} ({total:,})", fg=_COLORS[severity], bold=True)
    room = total if everything else MOST_SHOWN
    for path, diagnostics in by_file.items():
        if room <= 0:
            break
        yield f"  {click.style(printable(path), underline=True)}"
        for diagnostic in diagnostics[:room]:
            yield _finding_line(diagnostic)
        room -= len(diagnostics)
    if total > MOST_SHOWN and not everything:
        yield f"  and {total - MOST_SHOWN:,} more (-v shows all)"


def _of_severity(results: AnalysisResults, severity: Severity) -> dict[str, list[Diagnostic]]:
    found: dict[str, list[Diagnostic]] = {}
    for path in sorted(results.diagnostics):
        chosen = [
            each
            for each in results.diagnostics[path]
            if each.severity == severity and not each.suppressed
        ]
        if chosen:
            found[path] = sorted(chosen, key=lambda each: (each.line, each.column))
    return found


def _finding_line(diagnostic: Diagnostic) -> str:
    place = f"{diagnostic.line}:{diagnostic.column}" if diagnostic.column else f"{diagnostic.line}"
    rule = " ".join(part for part in (diagnostic.source, diagnostic.code) if part)
    message = " ".join(diagnostic.message.split())
    if len(message) > LONGEST_MESSAGE:
        message = message[: LONGEST_MESSAGE - 1] + "…"
    return f"    {place:>9}  {printable(message)}  {click.style(printable(rule), dim=True)}"


def _detector_lines(results: AnalysisResults) -> Iterator[str]:
    found = reports(results)
    if not found:
        return
    yield ""
    for each in sorted(found, key=lambda each: (each.status != "ran", each.name)):
        yield _detector_line(each)


def _unread_lines(results: AnalysisResults, *, everything: bool) -> Iterator[str]:
    """Files that a detector should have looked at and did not, with those whose it is."""
    by_file: dict[tuple[str, str], list[str]] = {}
    for each in reports(results):
        for unread in each.unread_files:
            by_file.setdefault((unread.path, unread.reason), []).append(each.name)
    if not by_file:
        return
    yield ""
    yield click.style("NOT CHECKED", fg="yellow", bold=True)
    shown = len(by_file) if everything else MOST_UNREAD_SHOWN
    for (path, reason), names in sorted(by_file.items())[:shown]:
        told = " ".join(reason.split())[:LONGEST_MESSAGE]
        yield f"  {printable(path)}: {printable(told)} ({printable(', '.join(names))})"
    if len(by_file) > shown:
        yield f"  and {len(by_file) - shown:,} more (-v shows all)"
    for each in reports(results):
        if each.unread_count > len(each.unread_files):
            yield f"  {printable(each.name)}: {plural(each.unread_count, 'file')} in all"


def _detector_line(each: DetectorReport) -> str:
    name = printable(f"{each.name} {each.version}".strip())
    if each.status == "ran":
        seconds = f"{each.duration_ms / 1000:.1f} s" if each.duration_ms else ""
        told = f"{plural(each.findings, 'finding'):>14}  {seconds}"
    else:
        why = {"not-installed": "not installed", "failed": "failed", "skipped": "skipped"}
        told = f"not run: {why[each.status]}"
        if each.detail:
            told += f" ({printable(each.detail)})"
    return f"  {name:28} {told}".rstrip()
