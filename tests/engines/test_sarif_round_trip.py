"""An analysis as SARIF, and back: what both can say comes back whole."""

import string
from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from odavl.engines.insight.analyze import analyze
from odavl.engines.insight.sarif_export import sarif_from_results
from odavl.engines.insight.sarif_import import detector_name, results_from_sarif
from odavl.engines.insight.sarif_paths import LOGICAL, PROJECT_PATH
from odavl.engines.insight.secret_text import without_credentials
from odavl.wire.analysis import (
    SEVERITIES,
    AnalysisResults,
    DetectorReport,
    Diagnostic,
    GitState,
    Scope,
    UnreadFile,
)
from odavl.wire.sarif import decode_sarif

WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=30,
).filter(lambda text: text == text.strip() and without_credentials(text) == text)
TRICKY = st.sampled_from([
    "see [this](1)", "[a](sarif:/x) and {0}", "{{0}}", "\\[b](2)", "[c]({1})", "100 % of {x}",
])  # fmt: skip
MESSAGES = WORDS | TRICKY
STEPS = st.text(string.ascii_letters + "é %#?:[]&+.~'()", min_size=1, max_size=8).filter(
    lambda step: step not in {".", ".."} and without_credentials(step) == step
)
PATHS = st.one_of(
    st.lists(STEPS, min_size=1, max_size=4).map("/".join).filter(lambda path: path[1:2] != ":"),
    st.sampled_from([PROJECT_PATH, "(parent)/a.py", "(parent)/(parent)/b c.py", "(C:)/work/ü.py"]),
    STEPS.map(lambda name: f"{LOGICAL}{name}"),
)
NUMBERS = st.integers(1, 2**31 - 1)
FINGERPRINTS = st.uuids().map(lambda one: one.hex)
CATEGORIES = st.sampled_from(["", "/language:js", "nightly", "a/b", f"long/{'x' * 90}"])


@st.composite
def diagnostics(draw, path: str, source: str) -> Diagnostic:
    found = Diagnostic(
        severity=draw(st.sampled_from(SEVERITIES)),
        message=draw(MESSAGES),
        source=source,
        code=draw(st.just("") | WORDS),
        fingerprint=draw(FINGERPRINTS),
        fix=draw(st.just("") | WORDS),
        suppressed=draw(st.booleans()),
        occurrences=draw(st.integers(1, 5)),
    )
    if found.code:
        found.url = draw(st.just("") | WORDS)
    if path != PROJECT_PATH and not path.startswith(LOGICAL) and draw(st.booleans()):
        found.line = draw(NUMBERS)
        found.column = draw(st.just(0) | NUMBERS)
        found.end_line = draw(st.none() | NUMBERS)
        found.end_column = draw(st.none() | NUMBERS)
        found.snippet = draw(st.just("") | WORDS)
    return found


@st.composite
def reports(draw, base: str) -> DetectorReport:
    category = draw(CATEGORIES)
    status = draw(st.sampled_from(["ran", "failed", "skipped", "not-installed"]))
    unread = draw(st.lists(PATHS.filter(lambda path: path != PROJECT_PATH), unique=True))
    return DetectorReport(
        name=detector_name(base, category),
        category=category,
        version=draw(st.just("") | WORDS),
        status=status,
        detail=draw(WORDS if status in {"failed", "skipped"} else st.just("") | WORDS),
        unread_files=[UnreadFile(path=path, reason=draw(WORDS)) for path in sorted(unread)],
        unread_count=len(unread),
    )


@st.composite
def analyses(draw) -> AnalysisResults:
    told = [draw(reports(base)) for base in draw(st.sets(st.sampled_from(["ruff", "b", "静的"])))]
    found: dict[str, list[Diagnostic]] = {}
    for each in told:
        if each.status in {"ran", "failed"}:
            for path in draw(st.lists(PATHS, max_size=3)):
                found.setdefault(path, []).append(draw(diagnostics(path, each.name)))
                each.findings += 1
    has_runs = bool(told)
    has_remote = has_runs and draw(st.booleans())
    return AnalysisResults(
        diagnostics=found,
        scope=Scope(detectors=told),
        git=(
            GitState(
                remote="https://example.com/shop",
                branch=draw(st.none() | WORDS),
                commit=draw(st.none() | WORDS),
            )
            if has_remote
            else GitState()
        ),
        analysed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) if has_runs else None,
    )


def there_and_back(results: AnalysisResults) -> AnalysisResults:
    return results_from_sarif(
        decode_sarif(msgspec.json.encode(sarif_from_results(results))), root=None
    )


def facts(results: AnalysisResults) -> object:
    """All of it but the order, and what SARIF has no word for."""
    assert results.scope is not None
    found = sorted(
        (path, msgspec.json.encode(each))
        for path, found in results.diagnostics.items()
        for each in found
    )
    told = sorted(results.scope.detectors, key=lambda each: each.name)
    for each in told:
        each.duration_ms = 0
    return found, told, results.git, results.analysed_at


@given(analyses())
def test_export_and_import_together_change_nothing(results):
    assert facts(there_and_back(results)) == facts(results)


def test_an_analysis_of_ours_comes_back_whole(project):
    ours = analyze(project, detectors=["ruff", "bandit", "detect-secrets", "vulture"])
    ours.diagnostics["pay.py"][0].suppressed = True
    ours.diagnostics["pay.py"][0].occurrences = 3
    assert ours.finding_count > 5
    assert facts(there_and_back(ours)) == facts(ours)


def test_no_result_that_failed_says_that_nothing_did(project):
    """§3.27.10: the level ``none`` is for results of another kind."""
    ours = analyze(project, detectors=["ruff", "vulture"])
    assert "info" in {each.severity for found in ours.diagnostics.values() for each in found}
    log = msgspec.json.decode(msgspec.json.encode(sarif_from_results(ours)))
    results = [result for run in log["runs"] for result in run["results"]]
    assert results
    for result in results:
        assert "kind" not in result
        assert result["level"] in {"note", "warning", "error"}
