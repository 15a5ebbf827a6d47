"""Severities are decided in one place."""

import pytest

from odavl.engines.insight.severity import (
    bandit_severity,
    eslint_severity,
    level_severity,
    mypy_severity,
    pyright_severity,
    ruff_severity,
    sarif_severity,
    secret_severity,
    vulture_severity,
)


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("invalid-syntax", "high"),
        ("E902", "high"),
        ("E501", "info"),
        ("E722", "low"),
        ("F821", "high"),
        ("F401", "low"),
        ("F811", "medium"),
        ("S101", "low"),
        ("S602", "high"),
        ("S608", "medium"),
        ("SIM102", "info"),
        ("SLF001", "low"),
        ("D100", "info"),
        ("DJ001", "low"),
        ("DTZ005", "medium"),
        ("B006", "medium"),
        ("BLE001", "low"),
        ("C901", "low"),
        ("C400", "info"),
        ("I001", "info"),
        ("ICN001", "info"),
        ("PLE0100", "high"),
        ("PLR2004", "info"),
        ("PERF401", "low"),
        ("T201", "info"),
        ("T100", "medium"),
        ("W605", "medium"),
        ("NEW123", "low"),
        ("", "low"),
    ],
)
def test_ruff_goes_by_family(code, severity):
    assert ruff_severity(code) == severity


@pytest.mark.parametrize(
    ("severity", "confidence", "expected"),
    [
        ("HIGH", "HIGH", "high"),
        ("HIGH", "LOW", "medium"),
        ("MEDIUM", "MEDIUM", "medium"),
        ("MEDIUM", "LOW", "low"),
        ("LOW", "HIGH", "low"),
        ("low", "low", "info"),
        ("UNDEFINED", "HIGH", "info"),
    ],
)
def test_bandit_is_lowered_where_it_is_not_sure(severity, confidence, expected):
    assert bandit_severity(severity, confidence) == expected


def test_types():
    assert pyright_severity("error", "") == "high"
    assert pyright_severity("error", "reportUndefinedVariable") == "high"
    assert pyright_severity("error", "reportArgumentType") == "medium"
    assert pyright_severity("warning", "reportAny") == "low"
    assert pyright_severity("information", "x") == "info"
    assert mypy_severity("error", "syntax") == "high"
    assert mypy_severity("error", "arg-type") == "medium"
    assert mypy_severity("note", "misc") == "info"


def test_secrets_are_high_or_critical():
    assert secret_severity("AWS Access Key") == "critical"
    assert secret_severity("A kind not known yet") == "critical"
    assert secret_severity("Hex High Entropy String") == "high"
    assert secret_severity("Public IP (ipv4)") == "info"


def test_dead_code_goes_by_confidence():
    assert vulture_severity("unreachable-code", 100) == "medium"
    assert vulture_severity("unused-variable", 100) == "low"
    assert vulture_severity("unused-import", 90) == "low"
    assert vulture_severity("unused-function", 60) == "info"


def test_eslint():
    assert eslint_severity("", 2, fatal=True) == "high"
    assert eslint_severity("no-eval", 2, fatal=False) == "high"
    assert eslint_severity("no-undef", 2, fatal=False) == "medium"
    assert eslint_severity("@typescript-eslint/no-unused-vars", 2, fatal=False) == "low"
    assert eslint_severity("prefer-const", 2, fatal=False) == "info"
    assert eslint_severity("no-self-compare", 2, fatal=False) == "medium"
    assert eslint_severity("no-self-compare", 1, fatal=False) == "low"


@pytest.mark.parametrize(
    ("score", "severity"),
    [
        (10, "critical"),
        (9.0, "critical"),
        (8.9, "high"),
        (7.0, "high"),
        (4.0, "medium"),
        (0.1, "low"),
    ],
)
def test_a_security_score_counts_before_the_level(score, severity):
    assert level_severity("note", score) == severity


def test_levels():
    levels = ("error", "warning", "note", "none")
    assert [level_severity(each) for each in levels] == ["high", "medium", "low", "info"]
    assert level_severity("error", 0.0) == "high"


def test_our_own_detectors_count_the_same_in_sarif():
    assert sarif_severity("ruff", "D100", "error", None, {}) == "info"
    properties = {"issue_severity": "HIGH", "issue_confidence": "LOW"}
    assert sarif_severity("bandit", "B602", "error", None, properties) == "medium"
    assert sarif_severity("semgrep", "x", "error", None, {}) == "high"
