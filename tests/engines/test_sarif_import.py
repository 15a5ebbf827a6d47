"""SARIF of any tool, read as an analysis."""

import subprocess
import sys
from pathlib import Path

import pytest

from odavl.engines.insight.analyze import analyze
from odavl.engines.insight.sarif_import import Source, detector_name, read_sarif, results_from_sarif
from odavl.wire.analysis import AnalysisResults
from odavl.wire.sarif import SARIF_DECODER
from tests.engines.documents import everything, report, statuses
from tests.engines.matching import compare
from tests.engines.sarif_logs import log, only, read, result, run
from tests.yardstick import yardsticks_of

SAMPLES = Path(__file__).parent / "sarif"
BESIDE_US = Path(sys.executable).parent


def sample(name: str, root: Path | None = None) -> AnalysisResults:
    return results_from_sarif(SARIF_DECODER.decode((SAMPLES / name).read_bytes()), root=root)


class TestSamples:
    def test_codeql(self):
        results = sample("codeql.sarif")
        assert statuses(results) == {"codeql": "ran"}
        assert report(results, "codeql").version == "2.19.3"
        assert list(results.diagnostics) == ["src/handlers/profile.js"]
        one = only(results)
        assert one.severity == "high", "security-severity 7.8 counts before the level"
        assert one.code == "js/reflected-xss"
        assert one.message == "Cross-site scripting vulnerability due to a user-provided value."
        assert (one.line, one.column, one.end_line, one.end_column) == (42, 12, None, 48)
        assert one.snippet == "  res.send(`Hello ${req.query.name}`);"
        assert results.git.commit == "0123456789"
        assert results.git.branch == "main"

    def test_semgrep(self):
        results = sample("semgrep.sarif")
        assert statuses(results) == {"semgrep-oss": "ran"}
        first, second = results.diagnostics["app/views.py"]
        assert (first.suppressed, second.suppressed) == (False, True)
        assert first.severity == "medium"
        assert first.fix == "subprocess.run(arguments, check=True)"
        assert first.url == "https://semgrep.dev/r/python.subprocess-shell-true"

    def test_eslint(self):
        results = sample("eslint.sarif", root=Path("/home/alice/shop"))
        assert list(results.diagnostics) == ["src/my cart.js"]
        one = only(results)
        assert (one.code, one.severity) == ("no-unused-vars", "high")
        assert report(results, "eslint").status == "failed", "its invocation was not successful"


class TestTheRealTools:
    def by_hand(self, root: Path, *command: str) -> AnalysisResults:
        program = str(BESIDE_US / command[0])
        answer = subprocess.run([program, *command[1:]], cwd=root, capture_output=True, check=False)
        return results_from_sarif(SARIF_DECODER.decode(answer.stdout), root=root)

    def test_ruffs_sarif_tells_the_same_issues_as_running_ruff(self, project):
        told = self.by_hand(project, "ruff", "check", ".", "--output-format=sarif", "--no-cache")
        ours = analyze(project, detectors=["ruff"])
        assert compare(told.diagnostics, ours.diagnostics) == (0, 0, ours.finding_count)
        assert ours.finding_count > 1
        severities = [sorted(each.severity for each in everything(one)) for one in (told, ours)]
        assert severities[0] == severities[1]

    def test_bandits_sarif_tells_the_same_issues_as_running_bandit(self, project):
        told = self.by_hand(project, "bandit", "-r", ".", "-f", "sarif", "-q")
        ours = analyze(project, detectors=["bandit"])
        assert told.diagnostics.keys() == ours.diagnostics.keys() == {"pay.py"}
        keys = [
            {(each.code, each.line, each.severity) for each in everything(x)} for x in (told, ours)
        ]
        assert keys[0] == keys[1]
        assert compare(told.diagnostics, ours.diagnostics) == (0, 0, 3)


class TestWhatCounts:
    @pytest.mark.parametrize("kind", ["pass", "notApplicable", "informational", "open"])
    def test_what_is_no_failure_is_no_finding_and_counted(self, kind):
        imported = read_sarif([Source(log(run(result(kind=kind), result(kind=kind))))], root=None)
        assert imported.results.diagnostics == {}
        assert imported.left_out.results == {kind: 2}
        told = report(imported.results, "tool").detail
        assert told == f"Left out, as they are no findings: 2 {kind}."

    def test_what_a_person_is_to_review_is_a_finding_as_bad_as_its_rule_says(self):
        rules = [{"id": "A", "defaultConfiguration": {"level": "error"}}]
        one = result(kind="review", level="none", ruleId="A")
        assert only(read(run(one, rules=rules))).severity == "high"
        assert only(read(run(result(kind="review")))).severity == "medium"

    def test_where_the_tool_could_not_decide_it_does_not_speak_for_the_file(self):
        results = read(run(result(kind="open"), result(kind="open"), result(uri="b.py")))
        told = report(results, "tool")
        assert [(each.path, each.reason) for each in told.unread_files] == [
            ("a.py", "the tool could not decide here (2 open)")
        ]
        assert told.unread_count == 1

    def test_what_the_tools_baseline_calls_absent_is_no_finding(self):
        source = Source(log(run(result(baselineState="absent"), result(baselineState="unchanged"))))
        imported = read_sarif([source], root=None)
        assert imported.results.finding_count == 1
        assert imported.left_out.results == {"absent": 1}

    @pytest.mark.parametrize(
        ("suppressions", "expected"),
        [
            ([{"kind": "inSource"}], True),
            ([{"kind": "external", "status": "accepted"}], True),
            ([{"kind": "external", "status": "underReview"}], False),
            ([{"kind": "external", "status": "rejected"}], False),
            ([{"kind": "inSource"}, {"kind": "external", "status": "rejected"}], False),
            ([], False),
        ],
    )
    def test_suppressions(self, suppressions, expected):
        assert only(read(run(result(suppressions=suppressions)))).suppressed is expected

    def test_a_run_without_results_did_not_take_place(self):
        none = run()
        del none["results"]
        assert statuses(read(none)) == {"tool": "skipped"}
        assert statuses(read(run())) == {"tool": "ran"}

    def test_a_run_that_was_not_successful_failed(self):
        failed = run(result(), invocations=[{"executionSuccessful": False}])
        assert statuses(read(failed)) == {"tool": "failed"}

    def test_no_runs_at_all(self):
        results = read()
        assert results.diagnostics == {}
        assert statuses(results) == {}


class TestSeveralRuns:
    def test_of_one_tool_are_one_detector(self):
        results = read(run(result()), run(result(uri="b.py"), result(line=2)))
        assert statuses(results) == {"tool": "ran"}
        assert report(results, "tool").findings == results.finding_count == 3
        assert len({each.fingerprint for each in results.diagnostics["a.py"]}) == 2

    def test_of_several_tools_are_several_detectors(self):
        results = read(run(result(), name="One Tool"), run(result(), name="two"))
        assert statuses(results) == {"one-tool": "ran", "two": "ran"}
        assert {each.source for each in everything(results)} == {"one-tool", "two"}

    def test_one_failure_of_a_tool_is_a_failure_of_the_detector(self):
        bad = run(invocations=[{"executionSuccessful": False}])
        assert statuses(read(run(result()), bad)) == {"tool": "failed"}
        assert statuses(read(bad, run(result()))) == {"tool": "failed"}

    def test_one_run_that_took_place_is_enough(self):
        none = run()
        del none["results"]
        assert statuses(read(none, run(result()))) == {"tool": "ran"}
        assert statuses(read(run(result()), none)) == {"tool": "ran"}


class TestWhatIsShown:
    def test_texts_are_bounded_and_nul_is_visible(self):
        long = "x" * 10_000
        one = result(text=f"\0{long}", ruleId=long, fixes=[{"description": {"text": long}}])
        one["locations"][0]["physicalLocation"]["region"]["snippet"] = {"text": long}
        found = only(read(run(one)))
        assert found.message.startswith("␀x")
        sizes = [len(each) for each in (found.message, found.code, found.fix, found.snippet)]
        assert sizes == [4000, 200, 8000, 4000]

    def test_a_fix_is_what_it_says_or_what_it_puts_in(self):
        change = {
            "artifactLocation": {"uri": "a.py"},
            "replacements": [
                {"deletedRegion": {"startLine": 1}, "insertedContent": {"text": "new"}},
                {"deletedRegion": {"startLine": 2}},
            ],
        }
        assert only(read(run(result(fixes=[{"artifactChanges": [change]}])))).fix == "new"

    def test_snippets_come_from_the_sources_where_they_are(self, tmp_path):
        (tmp_path / "a.py").write_text("one\ntwo\n")
        found = only(read(run(result(line=2)), root=tmp_path))
        assert found.snippet == "two"

    def test_secrets_are_struck_out(self):
        one = result(ruleId="B105")
        region = one["locations"][0]["physicalLocation"]["region"]
        region["snippet"] = {"text": 'password = "hunter2"'}  # pragma: allowlist secret
        assert only(read(run(one, name="Bandit"))).snippet == 'password = "***"'

    @pytest.mark.parametrize(
        ("tool", "name"),
        [
            ("Semgrep OSS", "semgrep-oss"),
            ("ESLint", "eslint"),
            ("", "sarif"),
            ("///", "sarif"),
            ("Ünï\nX", "ünï-x"),
            ("静的解析", "静的解析"),
            ("x" * 99, "x" * 64),
        ],
    )
    def test_names_of_detectors(self, tool, name):
        assert detector_name(tool) == name


def test_a_hundred_thousand_results_take_about_a_second():
    results = [
        result(f"Line too long ({number % 300} > 88)", f"file:///x/p{number % 900}.py", number)
        | {"ruleId": f"E{number % 150}", "level": "error"}
        for number in range(100_000)
    ]
    document = log(run(*results, name="ruff"))
    found = []
    # Three where it takes its goal of a second.
    assert yardsticks_of(lambda: found.append(results_from_sarif(document, root=None))) < 12
    assert found[0].finding_count == 100_000
