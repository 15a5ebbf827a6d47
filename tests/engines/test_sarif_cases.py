"""Kinds of logs that other tools write, each as small as it can be, and what is read from them."""

import json
from pathlib import Path

import msgspec
import pytest

from odavl.engines.insight.sarif_import import results_from_sarif
from odavl.wire.analysis import AnalysisResults
from odavl.wire.encoding import as_utf8
from odavl.wire.errors import MalformedJson
from odavl.wire.sarif import decode_sarif
from tests.engines.documents import everything, report, statuses
from tests.engines.matching import Comparison, compare
from tests.engines.sarif_logs import only, read, result, run

SECRET = "zq9Hk27LmXw4RtUv81PsYb"  # pragma: allowlist secret
PLACES = [folder / "shared" / "cases" for folder in Path(__file__).parents[3:5]]
CASES = next((folder for folder in PLACES if folder.is_dir()), PLACES[0])


class TestTwoLogsOfOneTool:
    def test_two_categories_are_two_detectors(self):
        one = read(run(result(), name="Scan", automationDetails={"id": "/language:js/monday"}))
        two = read(run(result(), name="Scan", automationDetails={"id": "/language:py/"}))
        assert statuses(one) == {"scan/language:js": "ran"}
        assert report(two, "scan/language:py").category == "/language:py"
        assert {each.source for each in everything(two)} == {"scan/language:py"}
        assert compare(one.diagnostics, two.diagnostics) == Comparison(1, 1, 0)

    def test_what_names_the_run_is_no_category(self):
        for identity in ("monday", "", None):
            log = run(result(), automationDetails={} if identity is None else {"id": identity})
            assert statuses(read(log)) == {"tool": "ran"}

    def test_long_categories_stay_apart(self):
        names = {
            only(read(run(result(), automationDetails={"id": f"{'x' * 90}{n}/"}))).source
            for n in range(2)
        }
        assert len(names) == 2
        assert max(map(len, names)) == 80

    def test_categories_in_one_log_are_no_duplicates_of_each_other(self):
        runs = [run(result(), automationDetails={"id": f"{name}/"}) for name in "ab"]
        assert read(*runs).finding_count == 2


class TestWhatToolsRecogniseFindingsBy:
    def test_their_own_fingerprints_tell_like_findings_apart(self):
        one = result("Same", "conf.yml", 10, partialFingerprints={"lineHash": "aaaa1111:1"})
        two = result("Same", "conf.yml", 50, partialFingerprints={"lineHash": "bbbb2222:1"})
        both, second = read(run(one, two)).diagnostics, read(run(two)).diagnostics
        assert both["conf.yml"][1].fingerprint == second["conf.yml"][0].fingerprint
        assert compare(both, second) == Comparison(new=0, fixed=1, unchanged=1)

    def test_whole_fingerprints_count_before_partial_ones(self):
        def fingerprint(**fields) -> str:
            return only(read(run(result(**fields)))).fingerprint

        whole = {"fingerprints": {"v1": "0123456789"}}
        assert fingerprint(**whole, partialFingerprints={"x": "abcdef"}) == fingerprint(**whole)
        assert fingerprint(**whole) != fingerprint()

    @pytest.mark.parametrize(
        "told",
        [{"v": "requires login"}, {"startColumnFingerprint": "12345"}, {"v": "1"}, {"v": ""}],
    )
    def test_what_recognises_nothing_does_not_count(self, told):
        with_it = only(read(run(result(partialFingerprints=told))))
        assert with_it.fingerprint == only(read(run(result()))).fingerprint

    def test_the_line_counts_before_them_where_it_is_at_hand(self, tmp_path):
        (tmp_path / "a.py").write_text("x = 1\n")
        told = result(partialFingerprints={"v": "0123456789"})
        with_it = only(read(run(told), root=tmp_path))
        assert with_it.fingerprint == only(read(run(result()), root=tmp_path)).fingerprint
        gone = only(read(run(result(uri="gone.py", partialFingerprints={"v": "0123456789"}))))
        assert gone.fingerprint == only(read(run(told))).fingerprint

    @pytest.mark.parametrize(
        ("one", "two"),
        [
            ("1 dependency: CVE-2024-1111 in requests", "1 dependency: CVE-2024-2222 in requests"),
            ("GHSA-1234-5678-9abc in x", "GHSA-1234-5678-9abd in x"),
            ("upgrade x to 1.2.3", "upgrade x to 1.2.4"),
            ("'b1' is unused", "'b2' is unused"),
            ("unused variable `7`", "unused variable `8`"),
            ("see app/v1/x", "see app/v2/x"),
        ],
    )
    def test_identifiers_are_identity(self, one, two):
        found = [only(read(run(result(text)))).fingerprint for text in (one, two)]
        assert found[0] != found[1]

    @pytest.mark.parametrize(
        ("one", "two"),
        [
            ("line too long (90 > 88)", "line too long (91 > 88)"),
            ("12 findings.", "13 findings."),
            ("declared in line 4, used in 9.", "declared in line 5, used in 10."),
        ],
    )
    def test_counts_and_positions_are_not(self, one, two):
        found = [only(read(run(result(text)))).fingerprint for text in (one, two)]
        assert found[0] == found[1]


class TestPlaces:
    def test_only_a_logical_location_is_shown_as_such(self):
        def of(name: str) -> dict:
            where = [{"logicalLocations": [{"fullyQualifiedName": name}]}]
            return {"message": {"text": "Useless"}, "locations": where}

        two, one = read(run(of("shop.Cart"), of("shop.Order"))), read(run(of("shop.Order")))
        assert list(two.diagnostics) == ["(logical) shop.Cart", "(logical) shop.Order"]
        assert compare(two.diagnostics, one.diagnostics) == Comparison(0, 1, 1)

    def test_without_a_place_it_is_about_the_file_that_the_tool_was_given(self):
        one = {"message": {"text": "x"}, "analysisTarget": {"uri": "src/a.c"}}
        assert list(read(run(one)).diagnostics) == ["src/a.c"]
        header = result(uri="a.h", analysisTarget={"uri": "src/a.c"})
        assert list(read(run(header)).diagnostics) == ["a.h"]

    def test_the_first_location_that_names_one_is_the_place_the_others_are_told(self):
        one = result("Moved")
        places = [result(uri=f"p{n}.py", line=n)["locations"][0] for n in range(1, 9)]
        one["locations"] = [{"message": {"text": "no place"}}, *places, places[0]]
        results = read(run(one))
        assert list(results.diagnostics) == ["p1.py"]
        told = "p2.py:2, p3.py:3, p4.py:4, p5.py:5, p6.py:6, 2 more"
        assert only(results).message == f"Moved (also at {told})"

    def test_where_else_it_is_seen_is_not_what_it_is_recognised_by(self):
        one = result("Moved")
        one["locations"] += result(uri="b.py", line=7)["locations"]
        assert only(read(run(one))).fingerprint == only(read(run(result("Moved")))).fingerprint

    def test_files_beside_and_below_are_two(self):
        results = read(run(result(uri="lib/a.c"), result(uri="../lib/a.c")))
        assert list(results.diagnostics) == ["lib/a.c", "(parent)/lib/a.c"]


class TestDuplicates:
    def test_exactly_the_same_is_one_finding_with_a_count(self):
        once, twice = result(uri="a.h"), run(result(uri="a.h"), result(uri="a.h"))
        results = read(twice, run(once))
        assert only(results).occurrences == 3
        assert report(results, "tool").findings == 1
        assert compare(read(run(once)).diagnostics, results.diagnostics) == Comparison(0, 0, 1)

    def test_the_tools_own_count_counts(self):
        assert only(read(run(result(occurrenceCount=4), result()))).occurrences == 5
        assert only(read(run(result(), result(occurrenceCount=4)))).occurrences == 5
        assert only(read(run(result(occurrenceCount=0)))).occurrences == 1

    @pytest.mark.parametrize(
        "other",
        [
            result(line=2),
            result(uri="b.py"),
            result(text="Worse"),
            result(level="error"),
            result(ruleId="X"),
            result(suppressions=[{"kind": "inSource"}]),
            result(partialFingerprints={"v": "0123456789"}),
            result(partialFingerprints={"odavl/v1": "f" * 32}),
            result(fixes=[{"description": {"text": "do"}}]),
        ],
    )
    def test_whatever_differs_makes_two(self, other):
        results = read(run(result(), other))
        assert results.finding_count == 2
        assert {each.occurrences for each in everything(results)} == {1}


class TestSecrets:
    def one(self, name: str, text: str, *, rule: str = "x", snippet: str = "") -> AnalysisResults:
        found = result(text, ruleId=rule)
        found["locations"][0]["physicalLocation"]["region"]["snippet"] = {"text": snippet}
        rules = [{"id": rule, "helpUri": f"https://a:{SECRET}@example.com/?token={SECRET}"}]
        return read(run(found, name=name, rules=rules))

    @pytest.mark.parametrize(
        ("name", "rule"),
        [("gitleaks", "x"), ("Other", "hard-coded-password"), ("Other", "generic.api-key.leaked")],
    )
    def test_of_who_looks_for_them_are_in_nothing_that_travels(self, name, rule):
        found = self.one(
            name, f"Found {SECRET} here", rule=rule, snippet=f"export API_KEY={SECRET}"
        )
        assert SECRET not in msgspec.json.encode(found).decode()
        assert only(found).snippet == "export ***"

    def test_that_bear_their_makers_mark_are_struck_out_whoever_shows_them(self):
        key = "AKIAQ3EGRIPZ4XKJH7TT"  # pragma: allowlist secret
        found = self.one("Other", f"Too long: {key}", snippet=f"x = '{key}'")
        assert key not in msgspec.json.encode(found).decode()

    def test_in_addresses_are_in_no_address(self):
        found = result(f"See https://a:{SECRET}@b/", uri=f"https://a:{SECRET}@b/?sig={SECRET}")
        provenance = [{"repositoryUri": f"https://a:{SECRET}@example.com/shop"}]
        results = read(run(found, versionControlProvenance=provenance))
        assert SECRET not in msgspec.json.encode(results).decode()
        assert results.git.remote == "https://example.com/shop"
        assert list(results.diagnostics) == ["b/?sig=***"]

    def test_a_rule_that_looks_for_something_else_shows_its_line(self):
        found = only(self.one("Other", "Too long", snippet="value = compute(a1b2c3d4)"))
        assert found.snippet == "value = compute(a1b2c3d4)"

    @pytest.mark.parametrize(
        "said",
        [
            {"name": "HardCodedPassword"},
            {"properties": {"tags": ["security", "secrets"]}},
            {"shortDescription": {"text": "A credential in the source"}},
        ],
    )
    def test_a_rule_says_by_its_name_tags_and_description_what_it_looks_for(self, said):
        found = result(ruleId="R1")
        found["locations"][0]["physicalLocation"]["region"]["snippet"] = {"text": "p = 'hunter2'"}
        results = read(run(found, rules=[{"id": "R1", **said}]))
        assert only(results).snippet == "p = '***'"


class TestEncodings:
    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"]
    )
    def test_a_byte_order_mark_tells_the_encoding(self, encoding):
        text = json.dumps({"version": "2.1.0", "runs": [run(result("café"))]}, ensure_ascii=False)
        marked = f"\ufeff{text}" if encoding in {"utf-16-le", "utf-16-be"} else text
        assert only(results_from_sarif(decode_sarif(marked.encode(encoding)), root=None)).message

    @pytest.mark.parametrize("body", [b"\xff\xfe\x00\xd8", b"\xff\xfea"])
    def test_bytes_that_are_not_what_the_mark_says_are_refused(self, body):
        with pytest.raises(MalformedJson, match="UTF-16"):
            as_utf8(body)

    def test_without_a_mark_nothing_is_touched(self):
        assert as_utf8(b"{}") == b"{}"


class TestWhatTheToolSaysOfItself:
    def failed(self, *notifications: dict, successful: bool = False) -> AnalysisResults:
        invocation = {
            "executionSuccessful": successful,
            "toolExecutionNotifications": list(notifications),
        }
        return read(run(result(), invocations=[invocation]))

    def test_why_it_failed_is_told(self):
        results = self.failed(
            {"level": "note", "message": {"text": "Hello"}},
            {"level": "error", "message": {"text": "Out of memory"}},
        )
        assert report(results, "tool").detail == "Out of memory"
        assert (
            report(self.failed(), "tool").detail == "The log says that it did not run to its end."
        )

    def test_a_file_that_it_could_not_look_at_is_told(self):
        error = {"level": "error", "message": {"text": "No parse"}, **result(uri="bad.py")}
        error["message"] = {"text": "No parse"}
        warning = {**error, "level": "warning", **result(uri="odd.py")}
        results = self.failed(error, {**warning, "level": "warning"}, successful=True)
        told = report(results, "tool")
        assert (told.status, told.unread_count) == ("ran", 1)
        assert [(each.path, each.reason) for each in told.unread_files] == [("bad.py", "No parse")]


@pytest.mark.skipif(not CASES.is_dir(), reason="the collected cases are not beside this checkout")
class TestCollectedCases:
    """The same kinds as they were collected, where they lie beside the checkout."""

    def of(self, name: str, root: Path | None = None) -> AnalysisResults:
        return results_from_sarif(decode_sarif((CASES / name).read_bytes()), root=root)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("10-rule-of-named-component/in.sarif", {"m1": "high", "m2": "high", "m3": "high"}),
            (
                "12-configuration-overrides/in.sarif",
                {
                    "Promoted by the build's settings": "high",
                    "Demoted by the build's settings": "low",
                },
            ),
        ],
    )
    def test_severities(self, name, expected):
        assert {each.message: each.severity for each in everything(self.of(name))} == expected

    @pytest.mark.parametrize(
        ("name", "paths"),
        [
            (
                "14-logical-locations-only/two.sarif",
                {"(logical) shop.Cart", "(logical) shop.Order"},
            ),
            ("59-sub-project-of-a-monorepo/mappedTo.sarif", {"packages/api/src/a.js"}),
            ("59-sub-project-of-a-monorepo/base-of-a-base.sarif", {"packages/api/src/a.js"}),
            ("59-sub-project-of-a-monorepo/undefined-root.sarif", {"packages/api/src/a.js"}),
            ("64-parent-folders/in.sarif", {"lib/a.c", "(parent)/lib/a.c"}),
            ("06-utf8-bom/bom.sarif", {"src/a.py"}),
            ("07-utf16/utf16.sarif", {"src/a.py"}),
        ],
    )
    def test_paths(self, name, paths):
        assert set(self.of(name).diagnostics) == paths

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            ("02-vendor-fingerprints/both.sarif", "only-b.sarif", Comparison(0, 1, 1)),
            ("03-numbers-in-messages/two.sarif", "one.sarif", Comparison(0, 1, 1)),
            ("14-logical-locations-only/two.sarif", "one.sarif", Comparison(0, 1, 1)),
            ("18-same-finding-from-two-units/one-unit.sarif", "three-units.sarif", (0, 0, 1)),
        ],
    )
    def test_what_one_says_that_the_other_does_not(self, before, after, expected):
        one, two = self.of(before), self.of(f"{Path(before).parent}/{after}")
        assert compare(one.diagnostics, two.diagnostics) == expected

    def test_two_categories_do_not_speak_for_each_other(self):
        names = {only(self.of(f"01-two-categories/{name}.sarif")).source for name in ("js", "py")}
        assert len(names) == 2

    def test_names_with_a_colon_are_kept_whole(self):
        paths = set(self.of("04-colon-in-first-segment/in.sarif").diagnostics)
        assert {"alpine:3.19", "busybox:1.36/etc/passwd", "no file for this alert"} < paths

    def test_the_scanners_secret_is_nowhere(self):
        told = msgspec.json.encode(self.of("15-secret-scanner-snippet/in.sarif"))
        assert b"zq9Hk27" not in told

    def test_an_offset_is_a_line(self, tmp_path):
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "t.txt").write_bytes(
            (CASES / "43-regions-by-offset/t.txt").read_bytes()
        )
        found = everything(self.of("43-regions-by-offset/in.sarif", root=tmp_path))
        assert {(each.code, each.line) for each in found} == {("C", 17), ("B", 17)}
