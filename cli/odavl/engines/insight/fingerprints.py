"""What makes two findings the same issue, whatever happens around them.

A fingerprint is made of the rule and of the text that the rule speaks of, never of the path and
never of a line number, so it survives moved lines, new indentation and a renamed file (the path is
the second key: who compares runs matches fingerprint and path first, the fingerprint alone after).

1. *Text*: the first line of the finding, white space folded and suppression comments removed, and
   the piece of that line which the finding marks. Where the sources are not at hand: the snippet,
   else the message with its numbers made equal, but for those in an identifier (``CVE-2024-1111``,
   ``1.2.3``, ``'b2'``). A message never counts where the line is known: tools put positions and
   counts into messages. Before either counts what the tool itself recognises a finding by.
2. *Findings that are still alike* within one file are told apart by the names of the functions and
   classes around them, and by a number last. Nothing else of the surroundings counts, so an edit
   next to a finding changes nothing.

The number of distinct fingerprints must follow the edit exactly: one more of ``n`` like findings is
one new fingerprint, one fewer is one gone, and moving any of them with its function is nothing at
all. Order of lines cannot give that. So the like findings of a file are a multiset of scopes; its
smallest member bears the plain fingerprint, the others scope and number. That is a function of the
multiset alone, and one member more or fewer changes one fingerprint. The price: when one of two
like findings goes, the one that stays takes the plain fingerprint whichever it was.

Form: 32 lower-case hex characters. The first 16 are those of rule and text alone, so that
``fingerprint[:16]`` groups the like findings of a file, should someone want to match more loosely.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from odavl.engines.insight.source_text import ReadLines, snippet_of, without_sources
from odavl.wire.analysis import Diagnostic

FINGERPRINT_LENGTH = 32
_GROUP_LENGTH = 16

_SUPPRESSION = re.compile(
    r"\s*(?:#|//|/\*)\s*"
    r"(?:noqa|nosec|nosemgrep|NOSONAR|type:\s*ignore|(?:based)?pyright:|mypy:|pylint:|pragma:"
    r"|ruff:|eslint-disable|@ts-ignore|@ts-expect-error).*",
)
_NUMBER = re.compile(r"""(?<![\w.'"`/@#:-])\d+(?![\w'"`/@#-]|\.\w)""")
"""A number on its own; one that belongs to a name, a version or a quotation is none."""
_DEFINITION = re.compile(
    r"(?:[\w@\[\]<>,:&*]+\s+)*?"
    r"(?:def|class|function\*?|func|fn|interface|struct|enum|trait|impl|module|namespace)"
    r"\s+([\w$.]+)"
    r"|(?:export\s+)?(?:const|let|var)\s+([\w$]+)\s*=\s*(?:async\s+)?(?:function\b|\(.*=>|\w+\s*=>)"
    r"|(?:(?:async|static|get|set|public|private|protected|override|abstract)\s+)*"
    r"(?!(?:if|for|while|switch|catch|with|return|function)\b)([\w$#]+)\s*\([^;]*\)[^;]*\{\s*$"
)
_CLOSERS = frozenset(")]}")
_LONGEST_LINE = 2_000
"""Characters. Longer lines are generated: of them counts what is around the finding."""
_LONGEST_DEFINITION = 300
_BEFORE, _AFTER = 200, 300


def assign_fingerprints(
    diagnostics: dict[str, list[Diagnostic]], read_lines: ReadLines = without_sources
) -> None:
    """Fill ``fingerprint`` where it is empty, and ``snippet`` where it is and the line is known.

    Works in place. Within one path all fingerprints are distinct afterwards. The result does not
    depend on the order in which findings come. A fingerprint that is there is kept as it is,
    whatever it looks like; only the second and later of equal ones in one path get one of ours.
    """
    plain: dict[tuple[str, str, str], str] = {}
    texts: dict[str, str] = {}
    for path, found in diagnostics.items():
        missing = [each for each in found if not each.fingerprint]
        taken: set[str] = set()
        if len(missing) != len(found):
            taken = _separate_given(each for each in found if each.fingerprint)
        lines = read_lines(path) if any(_lacks_text(each) for each in found) else None
        if lines:
            _fill_snippets(found, lines)
        if missing:
            _assign_in_file(_like_findings(missing, lines, plain, texts), lines, taken)


def vendor_fingerprint(found: Diagnostic, told: str) -> str:
    """Of a finding that its tool recognises by ``told``: SARIF's ``partialFingerprints``, say."""
    return _digest(f"{found.source}\0{found.code}\0\0{told}", FINGERPRINT_LENGTH)


def _lacks_text(found: Diagnostic) -> bool:
    return not found.fingerprint or not found.snippet


def _fill_snippets(found: Iterable[Diagnostic], lines: Sequence[str]) -> None:
    for each in found:
        if not each.snippet and each.line:
            each.snippet = snippet_of(lines, each.line, each.end_line)


def _like_findings(
    missing: list[Diagnostic],
    lines: Sequence[str] | None,
    plain: dict[tuple[str, str, str], str],
    texts: dict[str, str],
) -> dict[str, list[Diagnostic]]:
    """The findings by their plain fingerprint. ``plain`` and ``texts`` remember earlier work."""
    groups: dict[str, list[Diagnostic]] = {}
    folded: dict[int, str] = {}
    for each in missing:
        if lines is not None and 0 < each.line <= len(lines):
            text = _marked_text(lines[each.line - 1], each, folded)
        else:
            told = each.snippet
            raw = told or each.message
            known = texts.get(raw)
            if known is None:
                known = _first_line(told) if told else ""
                known = texts[raw] = known or _NUMBER.sub("0", " ".join(each.message.split()))
            text = known
        key = (each.source, each.code, text)
        fingerprint = plain.get(key)
        if fingerprint is None:
            fingerprint = plain[key] = _digest("\0".join(key), FINGERPRINT_LENGTH)
        members = groups.get(fingerprint)
        if members is None:
            groups[fingerprint] = [each]
        else:
            members.append(each)
    return groups


def _assign_in_file(
    groups: dict[str, list[Diagnostic]], lines: Sequence[str] | None, taken: set[str]
) -> None:
    scopes: list[str] | None = None
    for fingerprint, members in groups.items():
        if len(members) == 1:
            members[0].fingerprint = _free(fingerprint, taken) if taken else fingerprint
            continue
        if scopes is None:
            scopes = enclosing_scopes(lines) if lines is not None else []
        _tell_apart(fingerprint, members, scopes, taken)


def _tell_apart(
    fingerprint: str, members: list[Diagnostic], scopes: list[str], taken: set[str]
) -> None:
    def scope_of(found: Diagnostic) -> str:
        return scopes[found.line - 1] if 0 < found.line <= len(scopes) else ""

    if scopes:
        members.sort(key=lambda found: (scope_of(found), *_position(found)))
    else:
        members.sort(key=_position)
    members[0].fingerprint = _free(fingerprint, taken)
    numbers: Counter[str] = Counter()
    for each in members[1:]:
        scope = scope_of(each)
        own = _digest(f"{fingerprint}\0{scope}\0{numbers[scope]}", _GROUP_LENGTH)
        each.fingerprint = _free(fingerprint[:_GROUP_LENGTH] + own, taken)
        numbers[scope] += 1


def _position(found: Diagnostic) -> tuple[int, int, int, int, str, str]:
    """The order within a file. Findings equal in all of it are interchangeable."""
    return (
        found.line,
        found.column,
        found.end_line or 0,
        found.end_column or 0,
        found.message,
        found.severity,
    )


def _separate_given(given: Iterable[Diagnostic]) -> set[str]:
    """Make the fingerprints that came with the findings distinct; the ones now taken."""
    taken: set[str] = set()
    repeated = []
    for each in sorted(given, key=lambda found: (found.source, found.code, *_position(found))):
        if each.fingerprint in taken:
            repeated.append(each)
        taken.add(each.fingerprint)
    for each in repeated:
        each.fingerprint = _free(_digest(each.fingerprint, FINGERPRINT_LENGTH), taken)
        taken.add(each.fingerprint)
    return taken


def _free(fingerprint: str, taken: set[str]) -> str:
    while fingerprint in taken:
        fingerprint = fingerprint[:_GROUP_LENGTH] + _digest(fingerprint, _GROUP_LENGTH)
    if taken:
        taken.add(fingerprint)
    return fingerprint


def _digest(text: str, length: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=length // 2).hexdigest()


def _marked_text(line: str, found: Diagnostic, folded: dict[int, str]) -> str:
    """The line and what the finding marks of it. ``folded`` remembers lines by their number."""
    column = found.column
    whole = folded.get(found.line)
    if len(line) > _LONGEST_LINE:
        whole = _fold(line[max(column - _BEFORE, 0) : column + _AFTER])
    elif whole is None:
        whole = folded[found.line] = _fold(line)
    if not column:
        return f"{whole}\0"
    one_line = found.end_line in {None, found.line}
    end = (found.end_column or len(line) + 1) if one_line else len(line) + 1
    return f"{whole}\0{_fold(line[column - 1 : min(end - 1, column + _LONGEST_LINE)])}"


def _fold(line: str) -> str:
    return " ".join(_without_suppression(line).split())


def _without_suppression(line: str) -> str:
    """Silencing one rule on a line must not change what the others say there."""
    if "#" in line or "//" in line or "/*" in line:
        return _SUPPRESSION.sub("", line)
    return line


def _first_line(snippet: str) -> str:
    for line in snippet.splitlines():
        folded = _fold(line)
        if folded:
            return folded
    return ""


def enclosing_scopes(lines: Sequence[str]) -> list[str]:
    """For each line the names of the functions and classes around it, such as ``Cart.total``.

    Told from indentation, for any language that people indent: good enough to tell like lines
    apart, and blind to everything that an edit next to a finding may change but these names.
    A definition's own line belongs to what is around it.
    """
    scopes: list[str] = []
    around: list[tuple[int, str]] = []
    for line in lines:
        text = line.lstrip()
        if text and text[0] not in _CLOSERS:
            indentation = len(line.expandtabs()) - len(text.expandtabs())
            while around and around[-1][0] >= indentation:
                around.pop()
        scopes.append(around[-1][1] if around else "")
        is_short = 0 < len(text) <= _LONGEST_DEFINITION
        definition = _DEFINITION.match(text) if is_short else None
        if definition:
            name = definition[1] or definition[2] or definition[3]
            around.append((indentation, f"{scopes[-1]}.{name}" if scopes[-1] else name))
    return scopes
