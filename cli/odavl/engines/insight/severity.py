"""How bad a finding is, for every detector in one place, with the reason.

The five levels answer one question, "what happens if nobody looks at this?":

* ``critical``  somebody else may already be using it: a working credential in the source
* ``high``      it is broken or open: code that cannot run, or an attack that needs no luck
* ``medium``    it is probably a defect, or an attack that needs more than this line
* ``low``       it costs time later: dead code, complexity, a risk that depends on the surroundings
* ``info``      it is a matter of style, or the tool itself is not sure
"""

from __future__ import annotations

from collections.abc import Mapping

from odavl.wire.analysis import SEVERITIES, Severity

_RUFF: dict[str, Severity] = {
    # Files that Python cannot read or compile: nothing in them runs, and nobody else sees in.
    "invalid-syntax": "high",
    "E9": "high",
    # Pyflakes: most are plain mistakes; names that do not exist fail on the first call.
    "F": "medium",
    "F401": "low",
    "F40": "medium",
    "F541": "info",
    "F7": "high",
    "F82": "high",
    "F841": "low",
    "F842": "low",
    # Security rules ported from bandit: bandit's own severities.
    "S": "medium",
    "S101": "low",
    "S105": "medium",
    "S110": "low",
    "S112": "low",
    "S2": "high",
    "S311": "low",
    "S324": "high",
    "S4": "low",
    "S501": "high",
    "S502": "high",
    "S505": "high",
    "S602": "high",
    "S603": "low",
    "S604": "medium",
    "S605": "high",
    "S606": "low",
    "S607": "low",
    "S609": "high",
    "S612": "medium",
    "S701": "high",
    # Likely defects: they pass every test until the one input comes.
    "ASYNC": "medium",
    "B": "medium",
    "B9": "low",
    "DTZ": "medium",
    "PLE": "high",
    "PLW": "medium",
    "RUF006": "medium",
    "T10": "medium",
    "W605": "medium",
    "YTT": "medium",
    # Style that a formatter or a habit decides.
    "ANN": "info",
    "C4": "info",
    "COM": "info",
    "CPY": "info",
    "D": "info",
    "DOC": "info",
    "E": "info",
    "E7": "low",
    "EM": "info",
    "FBT": "info",
    "FIX": "info",
    "FLY": "info",
    "I": "info",
    "ICN": "info",
    "INP": "info",
    "INT": "low",
    "ISC": "info",
    "N": "info",
    "PIE": "info",
    "PLR": "info",
    "PTH": "info",
    "Q": "info",
    "RET": "info",
    "RSE": "info",
    "RUF1": "info",
    "SIM": "info",
    "T20": "info",
    "TC": "info",
    "TD": "info",
    "TID": "info",
    "UP": "info",
    "W": "info",
}
"""By the longest prefix of the rule; what stands nowhere is ``low``.

Some families look alike: ``DTZ`` and ``DOC`` are not ``D``, ``PLE`` is not ``P``.
"""

_RUFF_FAMILY_LENGTHS = tuple(sorted({len(prefix) for prefix in _RUFF}, reverse=True))

_BANDIT: dict[tuple[str, str], Severity] = {
    # A HIGH that bandit is sure of is an open door; what it only guesses at is one level down.
    ("HIGH", "HIGH"): "high",
    ("HIGH", "MEDIUM"): "high",
    ("HIGH", "LOW"): "medium",
    ("MEDIUM", "HIGH"): "medium",
    ("MEDIUM", "MEDIUM"): "medium",
    ("MEDIUM", "LOW"): "low",
    ("LOW", "HIGH"): "low",
    ("LOW", "MEDIUM"): "low",
    ("LOW", "LOW"): "info",
}

_PYRIGHT_CRASHES = frozenset({
    "reportUndefinedVariable", "reportPossiblyUnbound", "reportCallIssue", "reportIndexIssue",
    "reportAbstractUsage",
})  # fmt: skip

_GUESSED_SECRETS = frozenset({
    "Secret Keyword", "Basic Auth Credentials", "Base64 High Entropy String",
    "Hex High Entropy String", "JSON Web Token",
})  # fmt: skip

_ESLINT_HIGH = frozenset({
    "no-dupe-keys", "no-dupe-args", "no-dupe-class-members", "no-const-assign",
    "no-import-assign", "no-this-before-super", "constructor-super", "no-class-assign",
    "no-func-assign", "no-new-native-nonconstructor", "no-obj-calls", "no-eval", "no-implied-eval",
    "no-new-func", "no-script-url",
})  # fmt: skip
_ESLINT_LOW = frozenset({
    "no-unused-vars", "no-empty", "no-extra-boolean-cast", "no-useless-escape", "no-useless-catch",
    "no-unused-labels", "no-unused-private-class-members", "no-useless-assignment",
    "preserve-caught-error", "no-unused-expressions", "no-empty-object-type", "no-explicit-any",
    "no-require-imports", "ban-ts-comment", "no-this-alias", "no-empty-function",
})  # fmt: skip
_ESLINT_STYLE = frozenset({"prefer-const", "no-var", "prefer-rest-params", "prefer-spread",
    "prefer-as-const", "prefer-namespace-keyword", "triple-slash-reference"})  # fmt: skip

SEVERITY_PROPERTY = "odavl/severity"
"""Under this name in ``properties`` our own SARIF carries a finding's severity."""

_LEVELS: dict[str, Severity] = {
    "error": "high",
    "warning": "medium",
    "note": "low",
    "none": "info",
}
_LIKELY = 80


def ruff_severity(code: str) -> Severity:
    """By family: ruff itself calls everything an error."""
    for length in _RUFF_FAMILY_LENGTHS:
        severity = _RUFF.get(code[:length]) if len(code) >= length else None
        if severity is not None and _same_family(code, length):
            return severity
    return "low"


def bandit_severity(severity: str, confidence: str) -> Severity:
    """Bandit's severity, lowered where it is not sure; ``UNDEFINED`` of either is ``info``."""
    return _BANDIT.get((severity.upper(), confidence.upper()), "info")


def pyright_severity(level: str, rule: str) -> Severity:
    """An error that stops the program when it is reached is worse than one of types alone.

    A file that does not parse has no rule, and is ``high``. What pyright calls a warning is
    mostly a type that it cannot know.
    """
    if level == "error":
        return "high" if not rule or rule in _PYRIGHT_CRASHES else "medium"
    return "low" if level == "warning" else "info"


def mypy_severity(level: str, code: str) -> Severity:
    """As pyright's; notes explain another finding."""
    if level != "error":
        return "info"
    return "high" if code in {"syntax", "name-defined"} else "medium"


def secret_severity(kind: str) -> Severity:
    """A key with a form of its own is a key: critical. One told from its name or its look: high.

    An address of the public internet is no secret, only worth knowing.
    """
    if kind.startswith("Public IP"):
        return "info"
    return "high" if kind in _GUESSED_SECRETS else "critical"


def vulture_severity(code: str, confidence: int) -> Severity:
    """Code that cannot be reached was meant to be; what nothing uses only costs reading.

    Below 80 % frameworks may well call it by name.
    """
    if confidence < _LIKELY:
        return "info"
    return "low" if code.startswith("unused") else "medium"


def eslint_severity(rule: str, level: int, *, fatal: bool) -> Severity:
    """Level 2 is ESLint's error; a file that does not parse (``fatal``) does not run either.

    A name that is not defined (``no-undef``) is ``medium`` only: another script may define it.
    """
    name = rule.rsplit("/", 1)[-1]
    if fatal or name in _ESLINT_HIGH:
        return "high"
    if name in _ESLINT_STYLE:
        return "info"
    if name in _ESLINT_LOW or level < 2:  # noqa: PLR2004 - ESLint's own number for "error"
        return "low"
    return "medium"


def level_severity(level: str, security_severity: float | None = None) -> Severity:
    """SARIF's level; or, where a rule has one, its ``security-severity`` as GitHub reads it.

    The thresholds are those of CVSS that GitHub documents for code scanning: from 9.0 critical,
    from 7.0 high, from 4.0 medium, above 0 low.
    """
    if security_severity is None or security_severity <= 0:
        return _LEVELS.get(level, "medium")
    if security_severity >= 9.0:  # noqa: PLR2004 - see above
        return "critical"
    if security_severity >= 7.0:  # noqa: PLR2004 - see above
        return "high"
    return "medium" if security_severity >= 4.0 else "low"  # noqa: PLR2004 - see above


def sarif_severity(
    detector: str,
    code: str,
    level: str,
    security_severity: float | None,
    properties: Mapping[str, object],
) -> Severity:
    """Of a finding in somebody's SARIF.

    Findings of our own detectors get what they get when we run them: ruff's SARIF calls everything
    an error, bandit's says its own severity in the properties. Our own SARIF says it outright.
    """
    own = properties.get(SEVERITY_PROPERTY) if properties else None
    for severity in SEVERITIES:
        if own == severity:
            return severity
    if detector == "ruff":
        return ruff_severity(code)
    if detector == "bandit" and "issue_severity" in properties:
        confidence = properties.get("issue_confidence", "")
        return bandit_severity(str(properties["issue_severity"]), str(confidence))
    return level_severity(level, security_severity)


def _same_family(code: str, length: int) -> bool:
    """Whether the prefix ends where a family's letters end, so that ``D`` does not claim ``DJ``."""
    return length >= len(code) or not (code[length].isalpha() and code[length - 1].isalpha())
