"""What follows when there are results: export, print, upload, exit code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from odavl import __version__
from odavl.commands.insight import text_output
from odavl.commands.session import Session
from odavl.commands.terminal import ProgressLine, plural, printable
from odavl.commands.uploading import chosen_project, failure_line, no_hub
from odavl.hub.run_files import own_files
from odavl.hub.uploads import UploadResult, upload
from odavl.project.git import git_facts
from odavl.project.own_files import project_folder
from odavl.wire.analysis import (
    SEVERITIES,
    AnalysisResults,
    DetectorReport,
    GitState,
    Severity,
    encoded_pieces,
)
from odavl.wire.envelope import UploadMetadata
from odavl.wire.errors import InternalError, LocalStorageFailed

if TYPE_CHECKING:
    from odavl.engines.insight.sarif_import import LeftOut

FINDINGS = 1
SIGNATURES = "error-signatures.json"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the command line asks to do with results."""

    format_name: str
    output: str | None
    upload: bool | None
    wait: bool
    project: str | None
    branch: str | None
    fail_on: Severity | None

    def note_flags(self, session: Session) -> None:
        """Let the flags take part in the order of the configuration."""
        session.flags["auto_upload"] = self.upload
        session.flags["project"] = self.project
        session.flags["fail_on"] = self.fail_on


def conclude(
    session: Session,
    results: AnalysisResults,
    asked: Outcome,
    *,
    left_out: LeftOut | None = None,
) -> int:
    """Do with ``results`` what is asked, and give the command's exit code.

    ``left_out`` is what an imported log holds and ``results`` do not.
    """
    from odavl.engines.insight.report import write_export

    git = git_facts(session.root)
    results.git = GitState(
        remote=results.git.remote or git.remote,
        branch=asked.branch or results.git.branch or git.branch,
        commit=results.git.commit or git.commit,
    )
    results.tool.version = results.tool.version or __version__
    project_folder(session.root, make=True)
    export = write_export(session.root, results)
    if left_out is not None:
        _tell_left_out(session, left_out)
    _print(session, results, asked)
    sent = _uploaded(session, results, asked, export) if session.settings.auto_upload else None
    _tell_upload(session, sent, asked)
    if session.json:
        session.emit(_document(results, export, sent, left_out))
    return _exit_code(session, results, sent)


def _print(session: Session, results: AnalysisResults, asked: Outcome) -> None:
    if asked.output:
        content = _formatted(session, results, asked.format_name, colored=False)
        try:
            Path(asked.output).write_bytes(content)
        except OSError as error:
            raise LocalStorageFailed(
                f"{asked.output} cannot be written: {error.strerror}."
            ) from error
        session.say(text_output.summary(results))
        session.say(f"Written to {asked.output}.")
    elif not session.json:
        session.show(_formatted(session, results, asked.format_name, colored=True).decode())


def _formatted(
    session: Session, results: AnalysisResults, format_name: str, *, colored: bool
) -> bytes:
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode(results))
    if format_name == "sarif":
        from odavl.engines.insight.sarif_export import sarif_from_results

        return msgspec.json.format(msgspec.json.encode(sarif_from_results(results)))
    text = text_output.report(results, everything=session.verbose, colored=colored)
    return text.encode(errors="backslashreplace")


def _uploaded(
    session: Session, results: AnalysisResults, asked: Outcome, export: Path
) -> UploadResult:
    if (error := no_hub(session)) is not None:
        return UploadResult(state="held", error=error)
    metadata = _metadata(session, results)
    if session.settings.places.get("auto_upload") == "project":
        asks = session.settings.sources["auto_upload"]
        session.say(f"Uploading to {session.address}, as {asks} asks (not wanted: --no-upload).")
    with ProgressLine(shown=session.talks) as line:
        sent = upload(
            session.destination(),
            "insight",
            "analysis-results",
            # Findings take enough memory without the document.
            partial(encoded_pieces, results),
            metadata=metadata,
            source=export,
            wait=asked.wait,
            on_progress=line.tell,
        )
    session.note_upload(success=sent.success)
    folder = project_folder(session.root)
    for signatures in own_files(folder, [folder / SIGNATURES]):
        upload(
            session.destination(),
            "insight",
            "error-signatures",
            signatures,
            metadata=metadata,
            silent=True,
        )
    return sent


def _metadata(session: Session, results: AnalysisResults) -> UploadMetadata:
    project = chosen_project(session)
    return UploadMetadata(
        project_id=project.id,
        project_name=project.name,
        branch=results.git.branch,
        timestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        diagnostics_count=results.finding_count,
    )


def _tell_upload(session: Session, sent: UploadResult | None, asked: Outcome) -> None:
    if sent is None or session.json:
        if sent is not None and sent.error is not None:
            session.warn(failure_line(sent))
        return
    if sent.error is not None:
        session.warn(failure_line(sent))
    elif sent.state == "processing":
        session.say(f"Uploaded as {sent.upload_id}; the hub is still taking it in.")
    else:
        line = printable(f"Uploaded: {sent.url}")
        (session.show if asked.format_name == "text" and not asked.output else session.say)(line)


def _tell_left_out(session: Session, left_out: LeftOut) -> None:
    if left_out.results:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(left_out.results.items()))
        total = left_out.results.total()
        session.say(f"Left out, as they are no findings: {plural(total, 'result')} ({kinds}).")
    if left_out.duplicates:
        session.say(f"Told more than once, exactly the same: {left_out.duplicates:,} times.")
    if left_out.files:
        count = plural(len(left_out.files), "part")
        session.warn(f"Not at hand: {count} of the log: {', '.join(left_out.files)}.")


def _document(
    results: AnalysisResults,
    export: Path,
    sent: UploadResult | None,
    left_out: LeftOut | None,
) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(results)
    if left_out is not None:
        document["leftOut"] = {
            "results": dict(left_out.results),
            "duplicates": left_out.duplicates,
            "files": left_out.files,
        }
    return {
        **document,
        "counts": text_output.counts(results),
        "total": results.finding_count,
        "detectors": [_detector_document(each) for each in text_output.reports(results)],
        "export": str(export),
        "upload": sent.document() if sent else None,
    }


def _detector_document(report: DetectorReport) -> dict[str, object]:
    """Every field, those at their default as well: the wire leaves them out."""
    values: dict[str, object] = msgspec.structs.asdict(report)
    values["durationMs"] = values.pop("duration_ms")
    values["unreadFiles"] = msgspec.to_builtins(values.pop("unread_files"))
    values["unreadCount"] = values.pop("unread_count")
    return values


def _exit_code(session: Session, results: AnalysisResults, sent: UploadResult | None) -> int:
    """Findings first: who asked for a gate wants its verdict, wherever the results are."""
    limit = session.settings.fail_on
    if limit is not None:
        found = text_output.counts(results)
        if any(found[severity] for severity in SEVERITIES[: _rank(limit) + 1]):
            return FINDINGS
        reports = text_output.reports(results)
        if reports and not any(report.status == "ran" for report in reports):
            raise InternalError(
                "No detector ran, so there is no verdict.", hint="See: odavl insight detectors"
            )
    return sent.exit_code if sent else 0


def _rank(severity: str) -> int:
    return [str(each) for each in SEVERITIES].index(severity)
