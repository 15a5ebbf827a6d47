"""Secrets kept out of what travels: messages, snippets, fixes and addresses.

Two ways lead to one. What a detector calls a secret is shown with its values struck out, in every
finding that shows the line. And whoever tells of it, what has the form of a secret is struck out:
keys that bear their maker's mark, the body of a private key, passwords and tokens in addresses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from odavl.engines.insight.source_text import ReadLines
from odavl.wire import limits
from odavl.wire.analysis import Diagnostic

STRUCK_OUT = "***"

_URL_PASSWORD = re.compile(r"(?<=//)([^/\s:@]*):[^@\s]+@")
_QUOTED = re.compile(r"""(?P<quote>["'`])(?P<text>(?:\\.|(?!(?P=quote)).)*)(?P=quote)""")
_KEY = re.compile(r"[A-Za-z_.-]{1,40}")
_TOKEN = re.compile(r"(?=[\w+/=.~-]*\d)(?=[\w+/=.~-]*[A-Za-z])[\w+/=.~-]{8,}")
_VALUE = re.compile(r"(?<=[=:])\s*[^\s=:].*")
_LONG_TOKEN = re.compile(r"(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{16,}")
_STRUCK = re.compile(r"""(["'`])\*\*\*\1|:\*\*\*@|(?:[=:]\s*|^\s*\S+\s+|^\s*)\*\*\*$""")
"""A value that was struck out before."""

_SECRET_RULES = {
    "bandit": frozenset({"B105", "B106", "B107"}),
    "ruff": frozenset({"S105", "S106", "S107"}),
}
_SECRET_SCANNERS = frozenset({
    "betterleaks", "detect-secrets", "ggshield", "gitguardian", "gitleaks", "kingfisher",
    "noseyparker", "secretlint", "talisman", "titus", "trufflehog", "whispers",
})  # fmt: skip
_SECRET_WORDS = re.compile(
    r"secret|password|passwd|passphrase|credential|hard.?coded|leak(?:ed|s)\b"
    r"|(?:api|access|private|auth|encryption|signing|account).?keys?\b"
    r"|(?:access|auth|api|bearer|bot|personal|refresh|oauth).?tokens?\b",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 4
_LONGEST_LINE = 20_000
_LONGEST_USER = 20
"""Characters. What is longer in front of an ``@`` is no name of somebody."""

_USER_AND_PASSWORD = re.compile(r"(?<=//)([^/\s:@?#]*):[^/\s@]+@")
_USER_ALONE = re.compile(r"(?<=://)[^/\s:@?#'\"]+@")
_QUERY = re.compile(
    r"(?<=[?&;#])((?:[\w.-]*(?:token|secret|password|passwd|signature|credential)"
    r"|pwd|sig|auth|authorization|(?:[\w.-]*[_-])?key|apikey)=)[^&\s#;\"'<>)\]]+",
    re.IGNORECASE,
)
_FORMS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"A(?:KIA|SIA)[A-Z0-9]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abeoprs]-[\w-]{10,}|[sr]k_(?:live|test)_\w{10,}|sk-[\w-]{20,}"
    r"|AIza[\w-]{30,}|ya29\.[\w-]{10,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{16,}|hf_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{40,}"
    r"|odavl_[a-z]+_\w{10,}|eyJ[\w-]{6,}\.eyJ[\w-]{6,}\.[\w-]+"
    r")"
)
_MARKS = (
    "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox",
    "k_live_", "k_test_", "sk-", "AIza", "ya29.", "SG.", "npm_", "pypi-", "hf_", "dop_v1_",
    "odavl_", "eyJ",
)  # fmt: skip
"""One of these is in whatever :data:`_FORMS` finds: looking for them first is far quicker."""

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_BLOCK = re.compile(
    r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)(.+?)"
    r"(?=-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_BODY = re.compile(
    r"""[\s"'`+,]*(?=\S*[a-z])(?=\S*[A-Z])[A-Za-z0-9+/]{40,}={0,2}(?:\\[nr])*[\s"'`+,;\\)]*"""
)
_MAYBE_BODY = re.compile(r"""[\s"'`+,]*[A-Za-z0-9+/]{4,}={0,2}(?:\\[nr])*[\s"'`+,;\\)]*""")


def is_secret(found: Diagnostic) -> bool:
    """Whether the finding says that its line holds a secret; any secret scanner's does."""
    source = found.source.partition("/")[0]
    return source in _SECRET_SCANNERS or found.code in _SECRET_RULES.get(source, ())


def speaks_of_secrets(*texts: str | None) -> bool:
    """Whether a rule's id, name or description says that it looks for secrets."""
    return any(text is not None and _SECRET_WORDS.search(text) for text in texts)


def without_credentials(text: str) -> str:
    """``text`` with what has the form of a secret struck out, above all in the addresses in it."""
    if "//" in text:
        text = _USER_AND_PASSWORD.sub(rf"\1:{STRUCK_OUT}@", text)
        text = _USER_ALONE.sub(_without_token, text)
    if "=" in text:
        text = _QUERY.sub(rf"\1{STRUCK_OUT}", text)
    if any(mark in text for mark in _MARKS):
        text = _FORMS.sub(STRUCK_OUT, text)
    if "PRIVATE KEY" in text:
        text = _BLOCK.sub(_without_body, text)
        end = _END.search(text)
        if end is not None and not _BEGIN.search(text[: end.start()]):
            text = f"{STRUCK_OUT}\n{text[end.start() :]}"
    return text


def _without_token(match: re.Match[str]) -> str:
    """``git@`` and the like are no secret, a token in their place is."""
    name = match[0][:-1]
    is_token = len(name) >= _LONGEST_USER or _FORMS.search(name) is not None
    return f"{STRUCK_OUT}@" if is_token else match[0]


def _without_body(match: re.Match[str]) -> str:
    line_ends = "\n" if "\n" in match[2] else ""
    return f"{match[1]}{line_ends}{STRUCK_OUT}{line_ends}"


def strike_out(line: str) -> str:
    """``line`` without the values in it: quoted texts, tokens, passwords in addresses.

    If none of these is found, all that follows the first ``=`` or ``:``, else the whole line. What
    was struck out once stays as it is.
    """
    struck = _URL_PASSWORD.sub(rf"\1:{STRUCK_OUT}@", line)
    struck = _QUOTED.sub(_strike_out_quoted, struck)
    struck = _TOKEN.sub(STRUCK_OUT, struck)
    if struck == line and not _STRUCK.search(line):
        struck = _VALUE.sub(f" {STRUCK_OUT}", line, count=1)
        return struck if struck != line else STRUCK_OUT
    return struck


def _strike_out_quoted(match: re.Match[str]) -> str:
    return match[0] if _is_key(match) else f"{match['quote']}{STRUCK_OUT}{match['quote']}"


def _is_key(match: re.Match[str]) -> bool:
    """Whether it names a value, as in ``{"password": "x"}``; ``if password == "x":`` does not."""
    before = match.string[: match.start()].rstrip()
    after = match.string[match.end() :].lstrip()
    is_in_place = after.startswith(":") and (not before or before[-1] in "{,[(")
    return is_in_place and _KEY.fullmatch(match["text"]) is not None


def strike_out_secrets(
    diagnostics: Mapping[str, list[Diagnostic]],
    read_lines: ReadLines,
    rules: Collection[tuple[str, str]] = (),
) -> None:
    """Strike out of all texts what the findings of the same file call secrets, and what looks so.

    ``rules`` are further pairs of detector and rule whose findings are about secrets.
    """
    known: dict[str, str] = {}
    for path, found in diagnostics.items():
        secrets = [each for each in found if is_secret(each) or (each.source, each.code) in rules]
        if secrets:
            lines = read_lines(path) or ()
            secret_lines = {each.line for each in secrets if each.line}
            values = _values_on(secret_lines, lines) | _values_shown(secrets)
            _strike_out_on(secret_lines, sorted(values, key=len, reverse=True), found)
            for each in secrets:
                each.message = _LONG_TOKEN.sub(STRUCK_OUT, each.message)
                if not each.line and each.snippet:
                    each.snippet = "\n".join(map(strike_out, each.snippet.split("\n")))
        for each in found:
            _strike_out_forms(each, path, read_lines, known)


def _strike_out_forms(
    found: Diagnostic, path: str, read_lines: ReadLines, known: dict[str, str]
) -> None:
    """``known`` remembers texts that many findings share."""
    message = known.get(found.message)
    if message is None:
        message = known[found.message] = without_credentials(found.message)
    found.message = message
    if found.snippet:
        found.snippet = _snippet_without_keys(found, path, read_lines)
    if found.fix:
        found.fix = without_credentials(found.fix)
    if found.url:
        found.url = without_credentials(found.url)


def _snippet_without_keys(found: Diagnostic, path: str, read_lines: ReadLines) -> str:
    """The body of a private key is no secret by its form alone: by its line in the file, it is."""
    shown = without_credentials(found.snippet).split("\n")
    if any(_MAYBE_BODY.fullmatch(line) for line in shown):
        inside = _lines_of_keys(read_lines(path) or ()) if found.line else set()
        shown = [
            STRUCK_OUT if found.line + offset in inside or _BODY.fullmatch(line) else line
            for offset, line in enumerate(shown)
        ]
    return "\n".join(shown)


def _lines_of_keys(lines: Sequence[str]) -> set[int]:
    """The numbers of the lines between the marks of private keys."""
    inside: set[int] = set()
    is_inside = False
    for number, line in enumerate(lines, 1):
        if is_inside and _END.search(line):
            is_inside = False
        elif is_inside:
            inside.add(number)
        elif _BEGIN.search(line):
            is_inside = not _END.search(line)
    return inside


def _strike_out_on(secret_lines: set[int], values: list[str], found: list[Diagnostic]) -> None:
    for each in found:
        shown = each.snippet.split("\n")
        if not any(each.line + offset in secret_lines for offset in range(len(shown))):
            continue
        if each.snippet:
            each.snippet = "\n".join(
                strike_out(text) if each.line + offset in secret_lines else text
                for offset, text in enumerate(shown)
            )[: limits.MAX_SNIPPET_LENGTH]
        for value in values:
            each.message = each.message.replace(value, STRUCK_OUT)
            each.fix = each.fix.replace(value, STRUCK_OUT)


def _values_on(secret_lines: set[int], lines: Sequence[str]) -> set[str]:
    """What stands in quotes on these lines, or looks like a token."""
    return _values_in(
        lines[number - 1][:_LONGEST_LINE] for number in secret_lines if 0 < number <= len(lines)
    )


def _values_shown(secrets: Iterable[Diagnostic]) -> set[str]:
    """The same of what the findings show themselves, where the file is not at hand."""
    return _values_in(line for each in secrets for line in each.snippet.split("\n"))


def _values_in(lines: Iterable[str]) -> set[str]:
    values = {
        text
        for line in lines
        for text in (
            *(match["text"] for match in _QUOTED.finditer(line) if not _is_key(match)),
            *(match[0] for match in _LONG_TOKEN.finditer(line)),
        )
    }
    return {each for each in values if len(each) >= _SHORTEST_SECRET and each != STRUCK_OUT}
