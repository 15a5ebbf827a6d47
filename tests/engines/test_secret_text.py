"""Secrets stay where they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.engines.insight.secret_text import (
    is_secret,
    speaks_of_secrets,
    strike_out,
    strike_out_secrets,
    without_credentials,
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
    assert strike_out(struck) == struck


@pytest.mark.parametrize("line", ["/*** password: hunter ***/", "# *** password: hunter"])
def test_asterisks_of_others_hide_no_value(line):
    assert "hunter" not in strike_out(line)


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


@pytest.mark.parametrize(
    ("text", "struck"),
    [
        ("clone https://alice:hunter2@example.com/x", "clone https://alice:***@example.com/x"),
        ("https://:hunter2@example.com", "https://:***@example.com"),
        ("postgres://shop:p%40ss@db:5432/shop", "postgres://shop:***@db:5432/shop"),
        ("see http://host:80/a and me@example.com", "see http://host:80/a and me@example.com"),
        ("https://0123456789abcdefghij@example.com/x", "https://***@example.com/x"),
        ("ssh://git@example.com/x", "ssh://git@example.com/x"),
        ("https://a.b/c?token=abc&page=2", "https://a.b/c?token=***&page=2"),
        ("https://a.b/c?page=2&X-Amz-Signature=00ff", "https://a.b/c?page=2&X-Amz-Signature=***"),
        ("https://a.b/#access_token=abc&x=1", "https://a.b/#access_token=***&x=1"),
        ("https://a.b/?api_key=abc;sig=def", "https://a.b/?api_key=***;sig=***"),
        ("https://a.b/?keyboard=de&monkey=1", "https://a.b/?keyboard=de&monkey=1"),
        ("found AKIAQ3EGRIPZ4XKJH7TT here", "found *** here"),
        (f"ghp_{'a1' * 18} and glpat-{'b2' * 10}", "*** and ***"),
        (f"sk_live_{'c3' * 8}, xoxb-{'1' * 12}", "***, ***"),
        ("eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", "***"),
        ("risk-averse tasks-and-desk-jobs", "risk-averse tasks-and-desk-jobs"),
        ("the line is too long (120 > 100)", "the line is too long (120 > 100)"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAbC\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\n***\n-----END RSA PRIVATE KEY-----",
        ),
        ("x -----BEGIN PRIVATE KEY-----\\nAbC", "x -----BEGIN PRIVATE KEY-----***"),
        ("AbC\n-----END PRIVATE KEY-----\nx", "***\n-----END PRIVATE KEY-----\nx"),
    ],
)
def test_what_has_the_form_of_a_secret_is_struck_out(text, struck):
    assert without_credentials(text) == struck
    assert without_credentials(struck) == struck


@given(st.text("abcAKI:/@?&=#-. ", max_size=60))
def test_striking_out_twice_is_striking_out_once(text):
    once = without_credentials(text)
    assert without_credentials(once) == once


@pytest.mark.parametrize(
    "source", ["gitleaks", "trufflehog", "betterleaks", "detect-secrets/nightly", "gitleaks/x/y"]
)
def test_all_that_a_secret_scanner_finds_is_secret(source):
    assert is_secret(finding(1, "", source, "any"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("generic-api-key", True),
        ("HardCodedPassword", True),
        ("Hard coded credential", True),
        ("leaked", True),
        ("no-secrets/no-secrets", True),
        ("Authentication token in source: auth_token", True),
        ("memory leak", False),
        ("unexpected token", False),
        ("primary key", False),
        (None, False),
    ],
)
def test_rules_that_are_about_secrets(text, expected):
    assert speaks_of_secrets(text) is expected
    assert speaks_of_secrets("other", text) is expected


def test_a_further_rule_is_one_about_secrets():
    found = [
        finding(1, "token: zq9Hk27LmXw4RtUv81PsYb", "tool", "X", "It is zq9Hk27LmXw4RtUv81PsYb."),
        finding(1, "token: zq9Hk27LmXw4RtUv81PsYb", "tool", "Y"),
        finding(2, "version: zq9Hk27LmXw4", "tool", "Y"),
    ]
    strike_out_secrets({"a.yml": found}, lambda _: None, {("tool", "X")})
    assert [each.snippet for each in found] == ["token: ***", "token: ***", "version: zq9Hk27LmXw4"]
    assert found[0].message == "It is ***."


def test_a_secret_without_a_line_is_struck_out_of_what_it_shows():
    secret = finding(0, "token = 'hunter2'", "gitleaks", "x", "hunter2")
    plain = finding(0, "token = 'hunter3'", "ruff", "x", "hunter3")
    strike_out_secrets({"a": [secret, plain]}, lambda _: None)
    assert secret.snippet == "token = '***'"
    assert plain.snippet == "token = 'hunter3'"


def test_nothing_is_shown_where_nothing_was():
    secret = finding(1, "", "gitleaks", "x")
    strike_out_secrets({"a": [secret]}, lambda _: None)
    assert secret.snippet == ""


KEY = [
    'KEY = """-----BEGIN RSA PRIVATE KEY-----',
    "MIIEpAIBAAKCAQEA" + "b" * 44,
    "MIIEpAIBAAKCAQEA" + "c" * 44,
    "Qq==",
    '-----END RSA PRIVATE KEY-----"""',
    "abcd",
]


@pytest.mark.parametrize("lines", [KEY, None])
def test_the_body_of_a_private_key_is_struck_out_whoever_shows_it(lines):
    found = [finding(n, "\n".join(KEY[n - 1 :][:2]), "ruff", "E501") for n in range(1, 6)]
    strike_out_secrets({"a.py": found}, lambda _: lines)
    shown = "\n".join(each.snippet for each in found)
    assert "MIIE" not in shown
    assert "Qq==" not in shown or lines is None
    assert "abcd" in shown


def test_a_long_name_on_a_line_of_its_own_is_no_key():
    name = "x" * 60
    plain = finding(1, f"{name}\n{'ABC' * 20}\nsrc/main/java/{'Abc/' * 12}A.java", "ruff", "E501")
    before = plain.snippet
    strike_out_secrets({"a.py": [plain]}, lambda _: None)
    assert plain.snippet == before


def test_fixes_and_addresses_hold_no_credentials_either():
    one = finding(1, "", "ruff", "x", "https://a:b@c/")
    one.fix, one.url = "curl https://a:b@c/?token=d", "https://c/rule?access_token=d"
    strike_out_secrets({"a": [one]}, lambda _: None)
    assert (one.message, one.fix, one.url) == (
        "https://a:***@c/",
        "curl https://a:***@c/?token=***",
        "https://c/rule?access_token=***",
    )
