"""insight: real detectors, a hub over real sockets."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from odavl.wire.analysis import ANALYSIS_DECODER, AnalysisResults
from odavl.wire.errors import InvalidPayload
from odavl.wire.sarif import SARIF_DECODER
from tests.client.fixtures import Odavl, Result, command, command_environment
from tests.client.small_hub import TOKEN, SmallHub, problem

RUFF = ["insight", "analyze", "--detectors", "ruff"]
SARIF = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {"driver": {"name": "Semgrep", "version": "1.2"}},
            "results": [
                {
                    "ruleId": "python.eval",
                    "level": "error",
                    "message": {"text": "eval is dangerous"},
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {"uri": "bad.py"},
                                "region": {"startLine": 2},
                            }
                        }
                    ],
                }
            ],
        }
    ],
}


def with_hub(hub: SmallHub) -> dict[str, str]:
    return {"ODAVL_CLOUD_API": hub.address, "ODAVL_API_KEY": TOKEN}


def last_run(hub: SmallHub) -> AnalysisResults:
    return ANALYSIS_DECODER.decode(hub.runs[-1].payload)


def commit(project: Path) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", project, "add", "-A"], check=True)
    subprocess.run(["git", "-C", project, *identity, "commit", "-qm", "x"], check=True)


def test_findings_are_shown_kept_and_no_failure(odavl: Odavl, project: Path) -> None:
    result = odavl(*RUFF)
    assert "bad.py" in result.stdout
    assert "`os` imported but unused  ruff F401" in result.stdout
    assert "2 findings in 1 file: 2 low.\n" in result.stdout
    assert (result.stderr, result.returncode) == ("", 0)
    export = ANALYSIS_DECODER.decode(
        (project / ".odavl" / "problems-panel-export.json").read_bytes()
    )
    assert export.git.branch == "main"
    assert export.finding_count == 2


def test_a_clean_project_says_so(odavl: Odavl, project: Path) -> None:
    (project / "bad.py").write_text('"""Nothing."""\n')
    assert "No findings." in odavl(*RUFF).stdout


def test_what_did_not_run_is_told(odavl: Odavl, project: Path) -> None:
    (project / "bad.py").unlink()
    nothing = odavl(*RUFF)
    assert "not run: skipped" in nothing.stdout
    assert "Nothing ran, so nothing is known." in nothing.stdout
    gate = odavl(*RUFF, "--fail-on", "high")
    assert "No detector ran" in gate.stderr
    assert gate.returncode == 2


@pytest.mark.parametrize(("severity", "code"), [("info", 1), ("low", 1), ("medium", 0)])
def test_fail_on_decides_the_exit_code(odavl: Odavl, severity: str, code: int) -> None:
    assert odavl(*RUFF, "--fail-on", severity).returncode == code


def test_json_is_the_document_and_more(odavl: Odavl) -> None:
    result = odavl(*RUFF, "--json")
    document = json.loads(result.stdout)
    assert document["counts"] == {"critical": 0, "high": 0, "medium": 0, "low": 2, "info": 0}
    assert document["total"] == 2
    assert document["upload"] is None
    [detector] = document["detectors"]
    assert (detector["name"], detector["status"], detector["findings"]) == ("ruff", "ran", 2)


def test_formats_and_output_files(odavl: Odavl, project: Path) -> None:
    plain = odavl(*RUFF, "--format", "json")
    assert ANALYSIS_DECODER.decode(plain.stdout.encode()).finding_count == 2
    written = odavl(*RUFF, "--format", "sarif", "--output", "out.sarif")
    assert "Written to out.sarif." in written.stderr
    assert written.stdout == ""
    log = SARIF_DECODER.decode((project / "out.sarif").read_bytes())
    assert len(log.runs[0].results or []) == 2
    assert odavl(*RUFF, "--output", "absent/out").returncode == 2


def test_an_upload_ends_with_the_runs_address(odavl: Odavl, small_hub: SmallHub) -> None:
    result = odavl(*RUFF, "--upload", "--project", "shop", **with_hub(small_hub))
    assert result.stdout.endswith(f"Uploaded: {small_hub.address}/en/acme/insight/runs/1\n")
    assert result.returncode == 0
    [run] = small_hub.runs
    assert (run.type, run.metadata.project_name, run.metadata.branch) == (
        "analysis-results", "shop", "main",
    )  # fmt: skip
    assert run.metadata.diagnostics_count == 2
    results = last_run(small_hub)
    assert results.git.branch == "main"
    assert results.scope is not None
    assert results.scope.files is None


def test_json_holds_the_result_of_the_upload(odavl: Odavl, small_hub: SmallHub) -> None:
    result = odavl(*RUFF, "--cloud", "--json", "--branch", "topic", **with_hub(small_hub))
    sent = json.loads(result.stdout)["upload"]
    assert sent == {
        "success": True,
        "state": "stored",
        "uploadId": "upload-1",
        "runId": "run-1",
        "url": f"{small_hub.address}/en/acme/insight/runs/1",
        "error": None,
        "retryable": False,
        "queued": False,
    }
    assert small_hub.runs[0].metadata.branch == "topic"


def test_auto_upload_is_honoured_and_can_be_turned_off(
    odavl: Odavl, small_hub: SmallHub, project: Path
) -> None:
    (project / ".odavl").mkdir()
    (project / ".odavl" / "config.toml").write_text('auto_upload = true\nproject = "shop"\n')
    odavl(*RUFF, **with_hub(small_hub))
    odavl(*RUFF, "--no-upload", **with_hub(small_hub))
    assert [run.metadata.project_name for run in small_hub.runs] == ["shop"]


def test_error_signatures_go_along_silently(
    odavl: Odavl, small_hub: SmallHub, project: Path
) -> None:
    (project / ".odavl").mkdir()
    (project / ".odavl" / "error-signatures.json").write_text("{}")
    result = odavl(*RUFF, "--upload", **with_hub(small_hub))
    assert [run.type for run in small_hub.runs] == ["analysis-results", "error-signatures"]
    assert "signatures" not in result.stdout + result.stderr


def test_a_linked_folder_uploads_to_its_project(
    odavl: Odavl, small_hub: SmallHub, project: Path
) -> None:
    small_hub.projects = [{"id": "p-1", "slug": "shop", "name": "Shop"}]
    odavl("link", "shop", **with_hub(small_hub))
    odavl(*RUFF, "--upload", **with_hub(small_hub))
    odavl(*RUFF, "--upload", "--project", "other", **with_hub(small_hub))
    odavl(*RUFF, "--upload", ODAVL_PROJECT_ID="p-9", **with_hub(small_hub))
    named = [(run.metadata.project_id, run.metadata.project_name) for run in small_hub.runs]
    assert named == [("p-1", None), (None, "other"), ("p-9", None)]


def test_changed_speaks_for_changed_files_only(
    odavl: Odavl, small_hub: SmallHub, project: Path
) -> None:
    (project / "other.py").write_text("import os\n")
    (project / "gone.py").write_text("import os\n")
    commit(project)
    (project / "bad.py").write_text("import os\n")
    (project / "gone.py").unlink()
    odavl(*RUFF, "--changed", "--upload", **with_hub(small_hub))
    results = last_run(small_hub)
    assert results.scope is not None
    assert results.scope.files == ["bad.py", "gone.py"]
    assert list(results.diagnostics) == ["bad.py"]
    assert odavl(*RUFF, "--changed=nowhere").returncode == 2


def test_a_part_of_the_project_speaks_for_that_part(
    odavl: Odavl, small_hub: SmallHub, project: Path
) -> None:
    (project / "sub").mkdir()
    (project / "sub" / "a.py").write_text("import os\n")
    odavl("insight", "analyze", "sub", "--detectors", "ruff", "--upload", **with_hub(small_hub))
    results = last_run(small_hub)
    assert list(results.diagnostics) == ["sub/a.py"]
    assert results.scope is not None
    assert results.scope.files is not None
    odavl(*RUFF, "--exclude", "sub/", "--upload", **with_hub(small_hub))
    assert list(last_run(small_hub).diagnostics) == ["bad.py"]


def queued(odavl: Odavl) -> dict[str, object]:
    document: dict[str, object] = json.loads(odavl("sync", "queue", "--json").stdout)
    return document


def test_a_hub_that_is_away_means_queued_and_3(odavl: Odavl) -> None:
    away = {"ODAVL_CLOUD_API": "http://127.0.0.1:9", "ODAVL_API_KEY": TOKEN}
    result = odavl(*RUFF, "--upload", **away)
    assert "Uploaded" not in result.stdout
    assert "Not uploaded, but queued: The hub at http://127.0.0.1:9" in result.stderr
    assert "odavl sync process-queue" in result.stderr
    assert result.returncode == 3
    assert queued(odavl)["total"] == 1
    sent = json.loads(odavl(*RUFF, "--upload", "--json", **away).stdout)["upload"]
    assert (sent["success"], sent["queued"], sent["retryable"]) == (False, True, True)
    assert odavl(*RUFF, "--upload", "--fail-on", "low", **away).returncode == 1


def test_a_wrong_key_means_held_and_4(odavl: Odavl, small_hub: SmallHub) -> None:
    settings = {"ODAVL_CLOUD_API": small_hub.address, "ODAVL_API_KEY": "odavl_live_wrong"}
    result = odavl(*RUFF, "--upload", **settings)
    assert result.returncode == 4
    assert queued(odavl)["byState"] == {"held": 1}
    assert odavl("sync", "process-queue", **with_hub(small_hub)).returncode == 0
    assert len(small_hub.runs) == 1


def test_a_refusal_means_5(odavl: Odavl, small_hub: SmallHub) -> None:
    small_hub.faults.append(problem(InvalidPayload("Nonsense.")))
    result = odavl(*RUFF, "--upload", **with_hub(small_hub))
    assert "the hub refuses it: Nonsense." in result.stderr
    assert result.returncode == 5
    assert queued(odavl)["total"] == 0


def test_without_any_hub_nothing_is_claimed(odavl: Odavl) -> None:
    result = odavl(*RUFF, "--upload")
    assert "No hub is known, so nothing was sent or queued." in result.stderr
    assert result.returncode == 4
    assert queued(odavl)["total"] == 0


BACKGROUND = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
"""What a script's ``&`` does: it starts a program with Ctrl-C ignored."""


@pytest.mark.parametrize(
    "ending",
    # Not the end of the terminal under nohup: to outlive it is what that is for.
    [
        (before, stop)
        for before in ([], BACKGROUND, ["nohup"])
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if (before, stop) != (["nohup"], signal.SIGHUP)
    ],
)
def test_every_wish_to_end_during_the_upload_queues_and_3(
    small_hub: SmallHub,
    home: Path,
    project: Path,
    odavl: Odavl,
    ending: tuple[list[str], signal.Signals],
) -> None:
    before, stop = ending
    started: list[subprocess.Popen[str]] = []

    def interrupt(_handler: object) -> bool:
        started[0].send_signal(stop)
        started[0].wait(30)
        return True

    small_hub.faults.append(interrupt)
    started.append(
        subprocess.Popen(
            [*before, *command(*RUFF, "--upload")],
            cwd=project,
            env=command_environment(home, **with_hub(small_hub)),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
    )
    _, talk = started[0].communicate(timeout=60)
    assert "Not uploaded, but queued: The upload was interrupted." in talk
    assert started[0].returncode == 3
    assert queued(odavl)["total"] == 1


def import_file(odavl: Odavl, project: Path, content: bytes, *more: str, **environ: str) -> Result:
    (project / "in.sarif").write_bytes(content)
    return odavl("insight", "import", "in.sarif", *more, **environ)


def test_sarif_of_another_tool_is_taken_in(
    odavl: Odavl, small_hub: SmallHub, project: Path
) -> None:
    result = import_file(
        odavl, project, json.dumps(SARIF).encode(), "--upload", "--project", "shop",
        **with_hub(small_hub),
    )  # fmt: skip
    assert result.returncode == 0
    results = last_run(small_hub)
    [finding] = results.diagnostics["bad.py"]
    assert (finding.code, finding.line, finding.message) == ("python.eval", 2, "eval is dangerous")
    assert small_hub.runs[0].metadata.project_name == "shop"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "malformed_json"), (b"[]", "invalid_payload"), (b'{"version":"1"}', "invalid_payload")],
)
def test_what_is_no_sarif_is_told(odavl: Odavl, project: Path, content: bytes, code: str) -> None:
    result = import_file(odavl, project, content, "--json")
    assert json.loads(result.stdout)["code"] == code
    assert result.returncode == 5


def test_the_detectors_are_listed(odavl: Odavl) -> None:
    items = json.loads(odavl("insight", "detectors", "--json").stdout)["items"]
    assert {"ruff", "bandit", "eslint"} <= {item["name"] for item in items}
    assert odavl("insight", "detectors").stdout.startswith("DETECTOR")
