"""SARIF of any tool, read as an analysis."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.engines.insight.analyze import analyze
from odavl.engines.insight.sarif_export import sarif_from_results
from odavl.engines.insight.sarif_import import detector_name, results_from_sarif
from odavl.engines.insight.sarif_paths import PROJECT_PATH, RunPaths
from odavl.wire.analysis import AnalysisResults, Diagnostic
from odavl.wire.sarif import SARIF_DECODER, ArtifactLocation, SarifLog, SarifRun
from tests.engines.documents import everything, report, statuses
from tests.engines.matching import compare
from tests.yardstick import yardsticks_of

SAMPLES = Path(__file__).parent / "sarif"
BESIDE_US = Path(sys.executable).parent


def log(*runs: dict) -> SarifLog:
    return SARIF_DECODER.decode(json.dumps({"version": "2.1.0", "runs": runs}))


def run(*results: dict, name: str = "Tool", rules=(), **fields) -> dict:
    tool = {"driver": {"name": name, "rules": list(rules)}}
    return {"tool": tool, "results": list(results), **fields}


def result(text: str = "Bad", uri: str = "a.py", line: int = 1, **fields) -> dict:
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    return {"message": {"text": text}, "locations": [{"physicalLocation": place}], **fields}


def only(results: AnalysisResults) -> Diagnostic:
    (one,) = everything(results)
    return one


def read(*runs: dict, root: Path | None = None) -> AnalysisResults:
    return results_from_sarif(log(*runs), root=root)


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

    def test_our_own_sarif_comes_back_whole(self, project):
        ours = analyze(project, detectors=["ruff", "bandit", "detect-secrets", "vulture"])
        ours.diagnostics["pay.py"][0].suppressed = True
        encoded = msgspec.json.encode(sarif_from_results(ours))
        back = results_from_sarif(SARIF_DECODER.decode(encoded), root=None)
        assert compare(ours.diagnostics, back.diagnostics) == (0, 0, ours.finding_count)
        assert statuses(back) == statuses(ours)

        def facts(results: AnalysisResults) -> list[tuple]:
            return sorted(
                (path, one.source, one.code, one.severity, one.line, one.column, one.suppressed)
                for path, found in results.diagnostics.items()
                for one in found
            )

        assert facts(back) == facts(ours)


class TestWhatCounts:
    @pytest.mark.parametrize("kind", ["pass", "notApplicable", "informational", "open", "review"])
    def test_what_is_no_failure_is_no_finding(self, kind):
        assert read(run(result(kind=kind))).diagnostics == {}

    def test_what_the_tools_baseline_calls_absent_is_no_finding(self):
        found = read(run(result(baselineState="absent"), result(baselineState="unchanged")))
        assert found.finding_count == 1

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
        results = read(run(result()), run(result(uri="b.py"), result()))
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


class TestRules:
    RULES = (
        {
            "id": "A1",
            "helpUri": "https://example.com/A1",
            "defaultConfiguration": {"level": "note"},
        },
        {
            "id": "B2",
            "shortDescription": {"text": "Short"},
            "messageStrings": {"default": {"text": "{0} is {1}, {{really}} {7}"}},
            "properties": {"security-severity": "9.1"},
        },
    )

    def one(self, **fields) -> Diagnostic:
        return only(read(run(result(**fields), rules=self.RULES)))

    def test_by_id(self):
        found = self.one(ruleId="A1")
        assert (found.code, found.severity, found.url) == ("A1", "low", "https://example.com/A1")

    def test_by_index(self):
        assert self.one(ruleIndex=0).code == "A1"
        assert self.one(rule={"index": 1}).severity == "critical"

    def test_an_index_that_disagrees_with_the_id_does_not_count(self):
        found = self.one(ruleId="A1", ruleIndex=1)
        assert (found.code, found.severity) == ("A1", "low")

    def test_a_part_of_a_rule(self):
        found = self.one(ruleId="A1/sub/part")
        assert (found.code, found.severity) == ("A1/sub/part", "low")

    def test_an_index_beyond_the_rules(self):
        assert self.one(ruleIndex=99).code == ""
        assert self.one(rule={"index": 0, "toolComponent": {"index": 5}}).code == ""

    def test_of_an_extension(self):
        one = run(result(rule={"index": 0, "toolComponent": {"index": 0}}, ruleIndex=1))
        one["tool"]["driver"]["rules"] = list(self.RULES)
        one["tool"]["extensions"] = [{"name": "pack", "rules": [{"id": "X9"}]}]
        assert only(read(one)).code == "X9"

    def test_the_results_own_level_counts_before_the_rules(self):
        assert self.one(ruleId="A1", level="error").severity == "high"

    def test_without_any_level_it_is_a_warning(self):
        assert self.one(ruleId="Z").severity == "medium"

    @pytest.mark.parametrize("value", ["high", "", [], None, True])
    def test_a_score_that_is_none_does_not_count(self, value):
        rules = [{"id": "S", "properties": {"security-severity": value}}]
        found = only(read(run(result(ruleId="S", level="error"), rules=rules)))
        assert found.severity == "high"

    def test_a_message_by_id_with_arguments(self):
        message = {"id": "default", "arguments": ["x", "bad"]}
        found = self.one(ruleId="B2", message=message)
        assert found.message == "x is bad, {really} {7}"

    def test_without_a_message_the_rules_description(self):
        assert self.one(ruleId="B2", message={}).message == "Short"
        assert self.one(ruleId="A1", message={}).message == "A1"
        assert self.one(message={"id": "none"}).message == "(no message)"

    def test_braces_without_arguments_stay(self):
        assert self.one(text="use {0} and {{}}").message == "use {0} and {{}}"

    def test_links_to_other_places_of_the_log_are_only_their_text(self):
        found = self.one(text="See [this](1), [that](https://example.com) and [x](sarif:/runs/0).")
        assert found.message == "See this, [that](https://example.com) and x."


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
            ("Ünï\nX", "n-x"),
            ("x" * 99, "x" * 64),
        ],
    )
    def test_names_of_detectors(self, tool, name):
        assert detector_name(tool) == name


class TestPaths:
    def path(self, location: dict, root: str | None = None, **fields) -> str:
        paths = RunPaths(
            msgspec.convert({"tool": {}, **fields}, SarifRun), Path(root) if root else None
        )
        return paths.path_of(msgspec.convert(location, ArtifactLocation))

    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("src/a.py", "src/a.py"),
            ("./src//a.py", "src/a.py"),
            ("src/a%20b%C3%BC.py", "src/a bü.py"),
            ("src\\win\\a.py", "src/win/a.py"),
            ("file:///home/alice/shop/src/a.py", "src/a.py"),
            ("file:/home/alice/shop/src/a.py", "src/a.py"),
            ("file://localhost/home/alice/shop/src/a.py", "src/a.py"),
            ("/home/alice/shop/src/a.py", "src/a.py"),
            ("file:///home/alice/shop/src/a.py?x#y", "src/a.py"),
            ("file:///etc/passwd", "etc/passwd"),
            ("../../../etc/passwd", "etc/passwd"),
            ("file:///home/alice/shop/../secret", "home/alice/secret"),
            ("C:\\work\\a.py", "work/a.py"),
            ("file:///C:/work/a.py", "work/a.py"),
            ("file://server/share/a.py", "server/share/a.py"),
            ("https://example.com/a.py", "example.com/a.py"),
            ("a\0b.py", "a␀b.py"),
            ("", PROJECT_PATH),
            (".", PROJECT_PATH),
        ],
    )
    def test_uris(self, uri, expected):
        assert self.path({"uri": uri}, root="/home/alice/shop") == expected

    def test_a_root_with_a_common_beginning_is_another(self):
        location = {"uri": "file:///home/alice/shopping/a.py"}
        assert self.path(location, root="/home/alice/shop") == "home/alice/shopping/a.py"

    def test_a_base_that_is_not_defined_is_the_root(self):
        assert self.path({"uri": "src/a.py", "uriBaseId": "%SRCROOT%"}) == "src/a.py"

    def test_bases_stand_on_each_other(self):
        bases = {
            "PROJECTROOT": {"uri": "file:///builds/7/shop/"},
            "%SRCROOT%": {"uri": "src/", "uriBaseId": "PROJECTROOT"},
        }
        location = {"uri": "deep/a.py", "uriBaseId": "%SRCROOT%"}
        assert self.path(location, originalUriBaseIds=bases) == "deep/a.py"
        assert (
            self.path(location, root="/builds/7/shop", originalUriBaseIds=bases) == "src/deep/a.py"
        )

    def test_bases_in_a_ring_come_to_an_end(self):
        bases = {"A": {"uri": "a/", "uriBaseId": "B"}, "B": {"uri": "b/", "uriBaseId": "A"}}
        path = self.path({"uri": "x.py", "uriBaseId": "A"}, originalUriBaseIds=bases)
        assert path.endswith("/x.py")

    def test_an_absolute_path_below_the_runs_own_root(self):
        bases = {"SRCROOT": {"uri": "file:///builds/7/shop"}}
        location = {"uri": "file:///builds/7/shop/src/a.py"}
        assert self.path(location, originalUriBaseIds=bases) == "src/a.py"

    def test_a_checkout_that_the_run_names(self):
        provenance = [{"repositoryUri": "x", "mappedTo": {"uri": "file:///builds/9/"}}]
        location = {"uri": "file:///builds/9/a.py"}
        assert self.path(location, versionControlProvenance=provenance) == "a.py"

    def test_a_number_in_the_list_of_files(self):
        artifacts = [{"location": {"uri": "a.py"}}, {"location": {"uri": "b.py"}}]
        assert self.path({"index": 1}, artifacts=artifacts) == "b.py"
        assert self.path({"index": 9}, artifacts=artifacts) == PROJECT_PATH

    def test_a_finding_without_a_place_is_about_the_project(self):
        results = read(
            run({"message": {"text": "x"}}, {"message": {"text": "x"}, "locations": [{}]})
        )
        assert list(results.diagnostics) == [PROJECT_PATH]
        assert results.metrics.files_analyzed == 0

    @given(st.text(), st.one_of(st.none(), st.just("/home/alice/shop")))
    def test_no_path_leads_anywhere_else(self, uri, root):
        path = self.path({"uri": uri}, root=root)
        assert path
        assert len(path) <= 1024
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert "\0" not in path


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
