"""One document of each kind that travels, read and written by this side.

The hub's tests read the same files. A change here is a change of the contract.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from odavl.wire.account import WhoAmI
from odavl.wire.analysis import ANALYSIS_DECODER, AnalysisResults
from odavl.wire.autopilot import Ledger, RunHistory, Snapshot, TrustReport
from odavl.wire.encoding import decode_base64, gunzip, sha256_hex
from odavl.wire.envelope import (
    Envelope,
    UploadAccepted,
    UploadOptions,
    UploadStatus,
    UploadStored,
)
from odavl.wire.errors import ChunksMissing, InvalidPayload
from odavl.wire.guardian import AccessibilityReport, LighthouseReport, PageResults
from odavl.wire.jobs import JobPage
from odavl.wire.problem import Problem, problem_of, rebuild_error
from odavl.wire.sarif import SarifLog, results_of
from odavl.wire.transfer import (
    ChunkStored,
    ChunkUpload,
    TransferEnd,
    TransferRequest,
    TransferStarted,
)
from odavl.wire.workspace import (
    ChunksOffered,
    ChunksWanted,
    NewRevision,
    RevisionPage,
    WorkspaceRevision,
    check_manifest,
)

GOLDEN = Path(__file__).parent / "golden"
TYPES: dict[str, Any] = {
    "accessibility-report": AccessibilityReport,
    "analysis-results-full": AnalysisResults,
    "analysis-results-short": AnalysisResults,
    "chunk-stored": ChunkStored,
    "chunk-upload": ChunkUpload,
    "envelope": Envelope,
    "envelope-plain": Envelope,
    "job-page": JobPage,
    "ledger": Ledger,
    "lighthouse-report": LighthouseReport,
    "problem": Problem,
    "problem-chunks-missing": Problem,
    "recipe-trust": TrustReport,
    "run-history": RunHistory,
    "sarif": SarifLog,
    "snapshot": Snapshot,
    "test-results": PageResults,
    "transfer-end": TransferEnd,
    "transfer-request": TransferRequest,
    "transfer-started": TransferStarted,
    "upload-accepted": UploadAccepted,
    "upload-options": UploadOptions,
    "upload-status-completed": UploadStatus,
    "upload-status-failed": UploadStatus,
    "upload-status-processing": UploadStatus,
    "upload-status-receiving": UploadStatus,
    "upload-status-test": UploadStatus,
    "upload-stored": UploadStored,
    "upload-stored-test": UploadStored,
    "whoami": WhoAmI,
    "workspace-chunks-offered": ChunksOffered,
    "workspace-chunks-wanted": ChunksWanted,
    "workspace-new-revision": NewRevision,
    "workspace-revision": WorkspaceRevision,
    "workspace-revisions": RevisionPage,
}
PARTLY_READ = {"analysis-results-short", "sarif"}
"""Documents that others write, with more or less in them than we write."""


def content(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def decoded(name: str) -> Any:
    return msgspec.json.decode(content(name), type=TYPES[name])


def as_json(document: Any) -> Any:
    return json.loads(msgspec.json.encode(document))


def test_every_golden_document_is_tested() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(TYPES)


@pytest.mark.parametrize("name", sorted(TYPES.keys() - PARTLY_READ))
def test_it_is_written_as_it_was_read(name: str) -> None:
    assert json.loads(msgspec.json.encode(decoded(name))) == json.loads(content(name))


@pytest.mark.parametrize("name", sorted(PARTLY_READ))
def test_what_is_read_is_written_the_same_ever_after(name: str) -> None:
    written = msgspec.json.encode(decoded(name))
    again = msgspec.json.decode(written, type=TYPES[name])
    assert again == decoded(name)
    assert msgspec.json.encode(again) == written


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_newer_side_may_say_more(name: str) -> None:
    document = {**json.loads(content(name)), "saidByANewerVersion": [1, {"a": None}]}
    newer = msgspec.json.decode(json.dumps(document).encode(), type=TYPES[name])
    # Compared as written: parts that are left as they came differ in their white space.
    assert as_json(newer) == as_json(decoded(name))


def test_the_full_analysis() -> None:
    results = ANALYSIS_DECODER.decode(content("analysis-results-full"))
    assert results.finding_count == 3
    assert list(results.diagnostics) == ["src/app.py", "docs/ملف — naïve.py"]
    shell = results.diagnostics["src/app.py"][0]
    assert (shell.severity, shell.code, shell.line, shell.end_column) == ("high", "B602", 12, 40)
    assert results.diagnostics["src/app.py"][1].suppressed
    assert results.scope is not None
    assert results.scope.files == ["docs/ملف — naïve.py", "src/app.py", "src/gone.py"]
    statuses = {each.name: each.status for each in results.scope.detectors}
    assert statuses == {
        "ruff": "ran",
        "bandit": "ran",
        "vulture": "ran",
        "basedpyright": "failed",
        "eslint": "not-installed",
        "mypy": "skipped",
        "codeql/language:python": "ran",
    }
    assert shell.occurrences == 3
    assert results.scope.detectors[-1].category == "/language:python"
    assert results.git.branch == "feature/checkout"
    assert results.metrics.code_lines == 310


def test_the_short_analysis_leaves_the_rest_to_be_derived() -> None:
    results = ANALYSIS_DECODER.decode(content("analysis-results-short"))
    first, second = results.diagnostics["src/app.py"]
    assert (first.severity, first.line, first.source, first.fingerprint) == ("critical", 7, "", "")
    assert second.severity == "medium"
    assert (results.scope, results.git.branch, results.version) == (None, None, 1)


@pytest.mark.parametrize("name", ["envelope", "envelope-plain"])
def test_an_envelope_holds_the_short_analysis(name: str) -> None:
    envelope = decoded(name)
    payload = decode_base64(envelope.data)
    payload = gunzip(payload) if envelope.compressed else payload
    assert payload == content("analysis-results-short")
    assert envelope.sha256 in {None, sha256_hex(payload)}


def test_a_problem_is_the_error_and_back() -> None:
    error = rebuild_error(decoded("problem"))
    assert type(error) is InvalidPayload
    assert error.errors[0].pointer == "/diagnostics/src~1app.py/0/line"
    assert problem_of(error) == decoded("problem")


def test_missing_chunks_travel_with_their_problem() -> None:
    error = rebuild_error(decoded("problem-chunks-missing"))
    assert isinstance(error, ChunksMissing)
    assert error.missing == tuple(decoded("upload-status-receiving").missing)
    assert problem_of(error) == decoded("problem-chunks-missing")


def test_a_failed_upload_tells_its_problem() -> None:
    status = decoded("upload-status-failed")
    assert msgspec.convert(status.problem, Problem) == decoded("problem")


def test_a_workspaces_files_are_such_as_may_travel() -> None:
    revision = decoded("workspace-revision")
    check_manifest(revision.files)
    picture, history, ledger = revision.files
    assert [chunk.size for chunk in picture.pieces()] == [5242880, 1048576]
    assert history.pieces() == ()
    assert [chunk.sha256 for chunk in ledger.pieces()] == [ledger.sha256]


def test_sarif_of_another_tool() -> None:
    [run] = decoded("sarif").runs
    assert run.tool.driver.name == "Semgrep OSS"
    first, second, third, fourth = results_of(run)
    assert first.locations[0].physical_location.artifact_location.uri == "src/app%20one.py"
    assert first.fixes[0].artifact_changes[0].replacements[0].inserted_content.text
    assert second.suppressions[0].kind == "inSource"
    assert third.rule.tool_component.name == "pack"
    assert third.locations[0].logical_locations[0].index == 0
    assert (third.occurrence_count, third.provenance.invocation_index) == (2, 0)
    assert fourth.locations[0].physical_location.region.byte_offset == 8
    assert run.external_property_file_references.results[0].location.uri == "more.json"
    [override] = run.invocations[0].rule_configuration_overrides
    assert (override.descriptor.id, override.configuration.level) == ("python.lang.eval", "note")


def test_a_ledger_tells_what_held_and_what_did_not() -> None:
    ledger = decoded("ledger")
    kept, reverted = ledger.edits
    assert (kept.verdict, kept.reason, len(kept.findings_closed)) == ("kept", "", 1)
    assert (reverted.verdict, reverted.reason) == ("reverted", "Two tests failed.")
    assert ledger.phases.verify.metrics == {"testsRun": 512, "improved": True}
    assert (ledger.trust_score, ledger.files_modified) == (0.75, ["src/app.py"])


def test_a_snapshot_knows_files_that_were_not_there() -> None:
    assert decoded("snapshot").files["src/new.py"] is None


def test_results_count_or_name() -> None:
    results = decoded("test-results")
    assert (results.accessibility.violations, len(results.security.vulnerabilities)) == (1, 1)
    assert [check.status for check in results.tests] == ["failed", "passed"]
    assert decoded("lighthouse-report").categories["seo"].score is None
