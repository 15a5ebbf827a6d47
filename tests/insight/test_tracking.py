"""What becomes new, fixed, unchanged and reopened from one run to the next."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from insight import tracking
from insight.models import Issue, PastInterval
from tests.cast import Api, Person
from tests.insight.documents import counts, document, finding, run_of, scope, send, upload


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def test_everything_in_a_first_run_is_new(api: Api) -> None:
    run = upload(api, {"a.py": [finding("one"), finding("two", severity="high")]})
    assert counts(run) == (2, 0, 0, 0)
    assert run["sequence"] == 1
    assert run["bySeverity"] == {"critical": 0, "high": 1, "medium": 1, "low": 0, "info": 0}


def test_findings_that_are_called_by_their_files_are_apart(api: Api) -> None:
    """A client may know no better fingerprint than the name of the file."""
    findings = {path: [finding(path)] for path in ("a.py", "b.py", "c/a.py")}
    assert counts(upload(api, findings)) == (3, 0, 0, 0)
    assert counts(upload(api, findings)) == (0, 0, 3, 0)
    del findings["b.py"]
    assert counts(upload(api, findings)) == (0, 1, 2, 0)


def test_the_same_findings_again_are_a_new_run_that_writes_no_issue(api: Api) -> None:
    findings = {"a.py": [finding("one"), finding("two")]}
    first = upload(api, findings)
    before = list(Issue.across_organizations.order_by("pk").values())
    second = upload(api, findings)
    assert second["id"] != first["id"]
    assert second["sequence"] == 2
    assert counts(second) == (0, 0, 2, 0)
    assert list(Issue.across_organizations.order_by("pk").values()) == before


def test_an_edit_is_told_exactly(api: Api) -> None:
    upload(
        api,
        {
            "edited.py": [finding(f"f{n}", line=n) for n in range(1, 13)],
            "old_name.py": [finding("r1"), finding("r2", line=5)],
        },
    )
    moved = [finding(f"f{n}", line=n + 7) for n in range(2, 13)]
    run = upload(
        api,
        {
            "edited.py": [*moved, finding("added", line=3)],
            "new_name.py": [finding("r1"), finding("r2", line=5)],
        },
    )
    assert counts(run) == (1, 1, 13, 0)
    issues = Issue.across_organizations.filter(resolved=None)
    assert set(issues.values_list("path", flat=True)) == {"edited.py", "new_name.py"}
    assert issues.get(message="about f12").line == 19


def test_a_changed_severity_or_message_changes_the_issue_and_makes_none(api: Api) -> None:
    upload(api, {"a.py": [finding("one", severity="low")]})
    run = upload(api, {"a.py": [finding("one", severity="critical", message="now worse")]})
    assert counts(run) == (0, 0, 1, 0)
    issue = Issue.across_organizations.get()
    assert (issue.get_severity_display(), issue.message) == ("Critical", "now worse")


def test_files_that_swap_their_names_keep_their_issues(api: Api) -> None:
    upload(api, {"a.py": [finding("x")], "b.py": [finding("y")]})
    run = upload(api, {"a.py": [finding("y")], "b.py": [finding("x")]})
    assert counts(run) == (0, 0, 2, 0)


def test_a_copied_file_brings_new_issues_and_leaves_the_old_ones(api: Api) -> None:
    upload(api, {"a.py": [finding("x")]})
    run = upload(api, {"a.py": [finding("x")], "copy.py": [finding("x")]})
    assert counts(run) == (1, 0, 1, 0)


def test_findings_of_one_file_with_one_fingerprint_are_told_apart_by_their_order(api: Api) -> None:
    alike = [finding("same", line=line) for line in (10, 20, 30)]
    assert counts(upload(api, {"a.py": alike})) == (3, 0, 0, 0)
    assert counts(upload(api, {"a.py": list(reversed(alike))})) == (0, 0, 3, 0)
    assert counts(upload(api, {"a.py": alike[:2]})) == (0, 1, 2, 0)


def test_what_comes_back_is_reopened_and_keeps_its_past(api: Api) -> None:
    upload(api, {"a.py": [finding("one")]})
    assert counts(upload(api, {"a.py": []})) == (0, 1, 0, 0)
    assert counts(upload(api, {"a.py": [finding("one", line=9)]})) == (0, 0, 0, 1)
    issue = Issue.across_organizations.get()
    assert (issue.introduced, issue.resolved, issue.reopenings, issue.line) == (3, None, 1, 9)
    assert list(PastInterval.across_organizations.values_list("introduced", "resolved")) == [(1, 2)]


def test_a_file_renamed_there_and_back_again_is_one_issue(api: Api) -> None:
    upload(api, {"a.py": [finding("one")]})
    upload(api, {"b.py": [finding("one")]})
    assert counts(upload(api, {"a.py": [finding("one")]})) == (0, 0, 1, 0)
    assert Issue.across_organizations.count() == 1


def test_a_run_of_one_detector_fixes_nothing_of_another(api: Api) -> None:
    upload(api, {"a.py": [finding("one"), finding("two", source="bandit")]})
    run = upload(api, {"a.py": []}, scope=scope("bandit"))
    assert counts(run) == (0, 1, 0, 0)
    assert Issue.across_organizations.get(resolved=None).detector == "ruff"
    assert run["openTotal"] == 1


def test_a_detector_that_did_not_run_fixes_nothing(api: Api) -> None:
    upload(api, {"a.py": [finding("one"), finding("two", source="bandit")]})
    detectors = [
        {"name": "ruff", "status": "failed", "detail": "crashed"},
        {"name": "bandit", "status": "not-installed"},
    ]
    run = upload(api, {}, scope={"detectors": detectors})
    assert counts(run) == (0, 0, 0, 0)
    assert [report["status"] for report in run["detectors"]] == ["failed", "not-installed"]
    assert run["openTotal"] == 2


def test_a_run_on_some_files_fixes_nothing_elsewhere(api: Api) -> None:
    upload(api, {"a.py": [finding("one")], "b.py": [finding("two")], "c.py": [finding("three")]})
    run = upload(api, {"a.py": []}, scope=scope("ruff", files=["a.py", "b.py"]))
    assert counts(run) == (0, 2, 0, 0)
    assert Issue.across_organizations.get(resolved=None).path == "c.py"


def test_branches_are_apart(api: Api) -> None:
    upload(api, {"a.py": [finding("one")]}, branch="main")
    run = upload(api, {"a.py": [finding("two")]}, branch="feature/x")
    assert counts(run) == (1, 0, 0, 0)
    assert (run["branch"], run["sequence"]) == ("feature/x", 1)


def test_the_short_form_is_enough(api: Api) -> None:
    short = {"diagnostics": {"a.py": [{"severity": "low", "message": "odd", "line": 3}]}}
    assert counts(run_of(send(api, short), api)) == (1, 0, 0, 0)
    moved = {"diagnostics": {"a.py": [{"severity": "low", "message": "odd", "line": 8}]}}
    assert counts(run_of(send(api, moved), api)) == (0, 0, 1, 0)


def test_a_run_of_one_detector_by_upload_type_speaks_for_it_alone(api: Api) -> None:
    upload(api, {"a.py": [finding("one"), finding("two", source="bandit")]})
    short = {"diagnostics": {"a.py": [finding("three", source="")]}}
    run = run_of(send(api, short, "detector-bandit"), api)
    assert counts(run) == (1, 1, 0, 0)
    assert [(report["name"], report["findings"]) for report in run["detectors"]] == [("bandit", 1)]


def test_suppressed_findings_are_kept_and_not_counted(api: Api) -> None:
    run = upload(api, {"a.py": [finding("one"), finding("two", suppressed=True)]})
    assert counts(run) == (1, 0, 0, 0)
    assert (run["counts"]["total"], run["counts"]["suppressed"]) == (1, 1)
    run = upload(api, {"a.py": [finding("one", suppressed=True), finding("two")]})
    assert (run["counts"]["total"], run["counts"]["suppressed"]) == (1, 1)
    assert run["openTotal"] == 1


def test_texts_of_any_kind_arrive_as_they_were(api: Api) -> None:
    odd = 'tab\there \\N new\nline "quoted" \\. ünïcødé 😀 �'
    upload(api, {"ordner/datei ü.py": [finding("one", message=odd, snippet=odd, fix=odd)]})
    issue = Issue.across_organizations.get()
    assert (issue.message, issue.snippet, issue.fix) == (odd, odd, odd)
    assert issue.path == "ordner/datei ü.py"


def test_nul_and_control_characters_are_kept_with_a_visible_mark(api: Api) -> None:
    upload(api, {"a.py": [finding("one", message="a\x00b\x1fc\x1ed")]})
    assert Issue.across_organizations.get().message == "a␀b␟c␞d"


def test_long_texts_are_shortened_and_the_run_tells_so(api: Api) -> None:
    run = upload(api, {"a.py": [finding("one", message="m" * 50_000), finding("two")]})
    assert run["counts"]["trimmed"] == 1
    assert Issue.across_organizations.order_by("pk")[0].message.endswith("m…")


def test_identities_made_to_collide_are_refused_not_a_fault(api: Api) -> None:
    def path_number(path: str) -> int:
        return int.from_bytes(blake2b(path.encode(), digest_size=16).digest())

    one = 12345
    other = one ^ path_number("a.py") ^ path_number("b.py")
    findings = {"a.py": [finding(f"{one:032x}")], "b.py": [finding(f"{other:032x}")]}
    answer = send(api, document(findings))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "duplicate_identity"
    upload(api, {"c.py": [finding("fine")]})
    assert send(api, document(findings)).status_code == 422


def test_what_is_unresolved_is_told_after_every_run(api: Api) -> None:
    def unresolved(run: dict[str, Any]) -> dict[str, int]:
        assert run["openTotal"] == sum(run["openBySeverity"].values())
        return {name: count for name, count in run["openBySeverity"].items() if count}

    one = finding("one", severity="low")
    assert unresolved(upload(api, {"a.py": [one, finding("two")]})) == {"low": 1, "medium": 1}
    assert unresolved(upload(api, {"a.py": [one, finding("two")]})) == {"low": 1, "medium": 1}
    # Neither new nor fixed, and yet another count.
    worse = finding("one", severity="high")
    assert unresolved(upload(api, {"a.py": [worse, finding("two")]})) == {"high": 1, "medium": 1}
    nothing_there = scope("ruff", files=["b.py"])
    assert unresolved(upload(api, {}, scope=nothing_there)) == {"high": 1, "medium": 1}
    assert unresolved(upload(api, {})) == {}
    assert unresolved(upload(api, {})) == {}


def test_a_small_run_may_end_any_number_of_issues(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_FEW", 3)
    upload(api, {"a.py": [finding(str(number)) for number in range(20)]})
    run = upload(api, {"a.py": [finding("7"), finding("new")]})
    assert counts(run) == (1, 19, 1, 0)
    assert run["openTotal"] == 2


def test_an_unchanged_run_costs_few_statements(api: Api) -> None:
    findings = {"a.py": [finding(str(number), line=number) for number in range(50)]}
    upload(api, findings)
    send(api, document(findings))
    with CaptureQueriesContext(connection) as captured:
        answer = send(api, document(findings))
    assert answer.status_code == 201
    statements = [query["sql"] for query in captured]
    written = [sql.split()[2] for sql in statements if sql.startswith("INSERT")]
    assert sorted(written) == ['"insight_run"', '"uploads_upload"']
    updated = [sql.split()[1] for sql in statements if sql.startswith("UPDATE")]
    assert updated == ["insight_stream"]
    # Touching a temporary table costs the commit more than all of this.
    assert not [sql for sql in statements if "ingest_" in sql]
    # The key, two for the transaction, the project, the content, the place in the stream, what
    # The key, two for the transaction, the project, the content, the turn in the stream, what
    # differs, the place in the stream, the run, the upload.
    assert len(statements) == 10, "\n".join(statements)
