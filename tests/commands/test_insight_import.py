"""``odavl insight import``: SARIF of other tools, however it comes."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from odavl.wire.analysis import ANALYSIS_DECODER, AnalysisResults
from tests.client.fixtures import Odavl, Result, command, command_environment
from tests.client.small_hub import TOKEN, SmallHub

IMPORT = ["insight", "import"]


def result(path: str, **fields: object) -> dict[str, object]:
    place = {"artifactLocation": {"uri": path}, "region": {"startLine": 1}}
    return {"message": {"text": "Bad"}, "locations": [{"physicalLocation": place}], **fields}


def log(*results: dict[str, object], name: str = "Tool") -> str:
    run = {"tool": {"driver": {"name": name}}, "results": list(results)}
    return json.dumps({"version": "2.1.0", "runs": [run]})


def exported(project: Path) -> AnalysisResults:
    return ANALYSIS_DECODER.decode((project / ".odavl/problems-panel-export.json").read_bytes())


def paths(answer: Result) -> list[str]:
    assert answer.returncode == 0, answer.stderr
    return list(json.loads(answer.stdout)["diagnostics"])


def test_standard_input(odavl: Odavl) -> None:
    assert paths(odavl(*IMPORT, "-", "--json", stdin=log(result("a.py")))) == ["a.py"]


def test_gzipped_by_name_and_through_a_pipe(odavl: Odavl, project: Path, home: Path) -> None:
    packed = gzip.compress(log(result("a.py")).encode())
    (project / "in.sarif.gz").write_bytes(packed)
    assert paths(odavl(*IMPORT, "in.sarif.gz", "--json")) == ["a.py"]
    piped = subprocess.run(
        command(*IMPORT, "-", "--json"),
        cwd=project,
        env=command_environment(home),
        input=packed,
        capture_output=True,
        check=True,
    )
    assert list(json.loads(piped.stdout)["diagnostics"]) == ["a.py"]


def test_several_files_are_one_run(odavl: Odavl, project: Path, small_hub: SmallHub) -> None:
    (project / "one.sarif").write_text(log(result("a.py"), name="One"))
    (project / "two.sarif").write_text(log(result("b.py"), name="Two"))
    hub = {"ODAVL_CLOUD_API": small_hub.address, "ODAVL_API_KEY": TOKEN}
    assert odavl(*IMPORT, "one.sarif", "two.sarif", "--upload", **hub).returncode == 0
    [run] = small_hub.runs
    sent = ANALYSIS_DECODER.decode(run.payload)
    assert list(sent.diagnostics) == ["a.py", "b.py"]
    assert sent.scope is not None
    assert [each.name for each in sent.scope.detectors] == ["one", "two"]


def test_a_pattern_names_each_file_once(odavl: Odavl, project: Path) -> None:
    for name in ("out/b", "out/deep/c", "out/a"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / f"{name}.sarif").write_text(log(result(f"{name}.py")))
    files = ["out/**/*.sarif", "out/a.sarif", "./out/a.sarif"]
    answer = odavl(*IMPORT, *files, "--json")
    assert paths(answer) == ["out/a.py", "out/b.py", "out/deep/c.py"]
    assert json.loads(answer.stdout)["leftOut"]["duplicates"] == 0
    assert paths(odavl(*IMPORT, f"{project}/out/*.sarif", "--json")) == ["out/a.py", "out/b.py"]


def test_a_name_that_looks_like_a_pattern_is_a_name_first(odavl: Odavl, project: Path) -> None:
    (project / "a[1].sarif").write_text(log(result("a.py")))
    assert paths(odavl(*IMPORT, "a[1].sarif", "--json")) == ["a.py"]


@pytest.mark.parametrize("name", ["none.sarif", "none/*.sarif", "**/*.none"])
def test_what_matches_nothing_is_told(odavl: Odavl, name: str) -> None:
    answer = odavl(*IMPORT, name)
    assert f"There is no file {name}." in answer.stderr
    assert answer.returncode == 2


def test_which_of_several_files_does_not_fit_is_told(odavl: Odavl, project: Path) -> None:
    (project / "good.sarif").write_text(log(result("a.py")))
    (project / "bad.sarif").write_text("{")
    answer = odavl(*IMPORT, "good.sarif", "bad.sarif")
    assert "bad.sarif: The document is not valid JSON" in answer.stderr
    assert answer.returncode == 5
    (project / "odd.sarif").write_text(log({"level": "worse"}))
    answer = odavl(*IMPORT, "good.sarif", "odd.sarif", "--json")
    told = json.loads(answer.stdout)
    assert told["detail"].startswith("odd.sarif: ")
    assert told["errors"][0]["pointer"] == "/runs/0/results/0/level"
    answer = odavl(*IMPORT, "-", stdin="[]")
    assert "standard input: " in answer.stderr


def test_a_damaged_gzip_file_is_told(odavl: Odavl, project: Path) -> None:
    (project / "in.gz").write_bytes(gzip.compress(log().encode())[:-9])
    answer = odavl(*IMPORT, "in.gz", "--json")
    assert json.loads(answer.stdout)["code"] == "malformed_gzip"


def test_what_is_left_out_is_told_with_its_count(odavl: Odavl, project: Path) -> None:
    told = [
        result("a.py"), result("a.py"), result("a.py", kind="pass"), result("b.py", kind="pass"),
        result("c.py", kind="open"), result("d.py", baselineState="absent"),
    ]  # fmt: skip
    (project / "in.sarif").write_text(log(*told))
    answer = odavl(*IMPORT, "in.sarif")
    assert (
        "Left out, as they are no findings: 4 results (1 absent, 1 open, 2 pass)." in answer.stderr
    )
    assert "Told more than once, exactly the same: 1 times." in answer.stderr
    document = json.loads(odavl(*IMPORT, "in.sarif", "--json").stdout)
    assert document["leftOut"] == {
        "results": {"pass": 2, "open": 1, "absent": 1},
        "duplicates": 1,
        "files": [],
    }
    assert document["total"] == 1
    assert document["diagnostics"]["a.py"][0]["occurrences"] == 2
    assert exported(project).diagnostics["a.py"][0].occurrences == 2


def test_nothing_is_said_where_nothing_is_left_out(odavl: Odavl, project: Path) -> None:
    (project / "in.sarif").write_text(log(result("a.py")))
    assert odavl(*IMPORT, "in.sarif").stderr == ""


def test_parts_beside_the_log_are_put_in_and_missing_ones_told(odavl: Odavl, project: Path) -> None:
    def refer(name: str) -> None:
        run = {
            "tool": {"driver": {"name": "Tool"}},
            "externalPropertyFileReferences": {"results": [{"location": {"uri": name}}]},
        }
        document = {"version": "2.1.0", "runs": [run]}
        (project / "out" / "in.sarif").write_text(json.dumps(document))

    (project / "out").mkdir()
    more = json.dumps({"version": "2.1.0", "results": [result("a.py")]})
    (project / "out" / "more.json").write_bytes(gzip.compress(more.encode("utf-16")))
    refer("more.json")
    assert paths(odavl(*IMPORT, "out/in.sarif", "--json")) == ["a.py"]
    refer("gone.json")
    answer = odavl(*IMPORT, "out/in.sarif", "-q")
    assert "Not at hand: 1 part of the log: gone.json." in answer.stderr
    assert "not run: failed" in answer.stdout


def test_a_folder_is_no_log(odavl: Odavl, project: Path) -> None:
    (project / "out").mkdir()
    assert "out is not a regular file." in odavl(*IMPORT, "out").stderr
