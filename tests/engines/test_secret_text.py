"""Secrets stay where they are."""

import pytest

from odavl.engines.insight.secret_text import (
    is_secret,
    strike_out,
    strike_out_secrets,
)
from odavl.wire.analysis import Diagnostic


def finding(line: int, snippet: str, source: str, code: str, message: str = "") -> Diagnostic:
    return Diagnostic(
        severity="low", message=message, source=source, code=code, line=line, snippet=snippet
    )


@pytest.mark.parametrize(
    ("line", "struck"),
    [
        ('password = "hunter2"', 'password = "***"'),  # pragma: allowlist secret
        ("{'password': 'hunter2'}", "{'password': '***'}"),  # pragma: allowlist secret
        ('  "password": "hunter2",', '  "password": "***",'),  # pragma: allowlist secret
        ('if password == "hunter":', 'if password == "***":'),  # pragma: allowlist secret
        ('{"hunter2": "admin"}', '{"***": "***"}'),  # pragma: allowlist secret
        ("password: hunter2", "password: ***"),  # pragma: allowlist secret
        ("PASSWORD=hunter", "PASSWORD= ***"),  # pragma: allowlist secret
        (
            "url = https://alice:hunter2@example.com/",  # pragma: allowlist secret
            "url = https://alice:***@example.com/",
        ),  # pragma: allowlist secret
        ("export KEY=AKIAQ3EGRIPZ4XKJH7TT", "export ***"),  # pragma: allowlist secret
        ("-----BEGIN PRIVATE KEY-----", "***"),  # pragma: allowlist secret
        ('x = "it\\"s hunter2" + y', 'x = "***" + y'),  # pragma: allowlist secret
    ],
)
def test_values_are_struck_out(line, struck):
    assert strike_out(line) == struck


@pytest.mark.parametrize(
    ("source", "code", "expected"),
    [
        ("detect-secrets", "private-key", True),
        ("bandit", "B105", True),
        ("ruff", "S106", True),
        ("ruff", "S101", False),
        ("eslint", "B105", False),
    ],
)
def test_who_tells_of_secrets(source, code, expected):
    assert is_secret(finding(1, "", source, code)) is expected


def test_every_finding_that_shows_the_line_has_it_struck_out():
    lines = ["def f(", '    key="hunter2-7",', "):"]
    found = [
        finding(2, lines[1], "bandit", "B107", "Possible: 'hunter2-7'"),
        finding(1, "\n".join(lines), "vulture", "unused-function"),
        finding(3, lines[2], "ruff", "E501"),
    ]
    strike_out_secrets({"a.py": found}, lambda _: lines)
    assert found[0].snippet == '    key="***",'
    assert found[0].message == "Possible: '***'"
    assert found[1].snippet == 'def f(\n    key="***",\n):'
    assert found[2].snippet == "):"


def test_other_files_are_left_alone():
    secret = finding(1, 'a = "hunter2"', "detect-secrets", "x")  # pragma: allowlist secret
    other = finding(1, 'a = "hunter2"', "ruff", "E501")  # pragma: allowlist secret
    strike_out_secrets({"a.py": [secret], "b.py": [other]}, lambda _: None)
    assert secret.snippet == 'a = "***"'
    assert other.snippet == 'a = "hunter2"'  # pragma: allowlist secret
