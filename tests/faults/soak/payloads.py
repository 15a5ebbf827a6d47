"""What a soak sends: for each seed the same payloads, no two of them alike."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from odavl.engines.insight.sarif_import import FINGERPRINT_KEY
from odavl.wire.limits import KIBIBYTE, MEBIBYTE

Kind = Literal["small", "middle", "large"]
KINDS: dict[Kind, tuple[float, int, int]] = {
    "small": (0.75, 1 * KIBIBYTE, 48 * KIBIBYTE),
    "middle": (0.22, 100 * KIBIBYTE, 2 * MEBIBYTE),
    "large": (0.03, 6 * MEBIBYTE, 30 * MEBIBYTE),
}
"""Share of all payloads, and the sizes (bytes, log-uniform) between which they lie."""

PROJECTS = 4
BRANCHES = 3
DETECTOR = "soak"
ONE_BY_COMMAND_IN = 50
_SHARED = 8
"""Findings that the payloads of a stream have in common, each in most of them."""
_OFTEN = 0.7
_SIZES_OF_A_FINDING = (400, 2_000, 12_000)
_LONGEST_TEXT = 3_900


@dataclass(frozen=True, slots=True)
class Payload:
    """``size`` is about how many bytes its document has, ``findings`` how many are its own."""

    number: int
    kind: Kind
    size: int
    findings: int
    project: str
    branch: str
    shared: tuple[int, ...]
    by_command: bool
    """Sent by ``odavl insight import``, not by the client's library."""
    waits: bool
    """Whether the client watches until the hub has taken it in."""

    @property
    def stream(self) -> str:
        return f"{self.project}/{self.branch}"

    def tags(self) -> set[str]:
        """The names of its findings; a finding with the same name is the same issue."""
        return {self.own_tag(number) for number in range(self.findings)} | {
            self.shared_tag(number) for number in self.shared
        }

    def own_tag(self, number: int) -> str:
        return f"own-{self.number}-{number}"

    def shared_tag(self, number: int) -> str:
        return f"shared-{self.project}-{self.branch}-{number}"


def plan(count: int, seed: int) -> list[Payload]:
    """``count`` payloads in the order in which clients take them, kinds and streams mixed."""
    source = random.Random(f"plan {seed}")
    return [_planned(number, source) for number in range(count)]


def document(payload: Payload, seed: int) -> bytes:
    """Its ``analysis-results``, always the same."""
    found = {
        path_of(tag): [{"severity": "medium", "line": 1, "source": DETECTOR, "code": "S1",
                        "fingerprint": tag, **texts}]
        for tag, texts in _findings(payload, seed)
    }  # fmt: skip
    scope = {"detectors": [{"name": DETECTOR, "status": "ran", "findings": len(found)}]}
    return json.dumps({"version": 1, "scope": scope, "diagnostics": found}).encode()


def sarif(payload: Payload, seed: int) -> bytes:
    """The same findings as a log of another tool, for the command line to import."""
    results = [_result(tag, texts) for tag, texts in _findings(payload, seed)]
    driver = {"name": DETECTOR, "rules": [{"id": "S1"}]}
    runs = [{"tool": {"driver": driver}, "results": results}]
    return json.dumps({"version": "2.1.0", "runs": runs}).encode()


def path_of(tag: str) -> str:
    """The file of a finding: each has one to itself."""
    return f"src/{tag}.py"


def tag_of(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".py")


def _planned(number: int, source: random.Random) -> Payload:
    weights = [share for share, _, _ in KINDS.values()]
    (kind,) = source.choices(list(KINDS), weights)
    _, least, most = KINDS[kind]
    size = int(math.exp(source.uniform(math.log(least), math.log(most))))
    each = max(_SIZES_OF_A_FINDING) if kind == "large" else source.choice(_SIZES_OF_A_FINDING)
    shared = tuple(place for place in range(_SHARED) if source.random() < _OFTEN)
    return Payload(
        number=number,
        kind=kind,
        size=size,
        findings=max(1, size // each),
        project=f"project-{source.randrange(PROJECTS)}",
        branch=f"branch-{source.randrange(BRANCHES)}",
        shared=shared,
        by_command=number % ONE_BY_COMMAND_IN == ONE_BY_COMMAND_IN // 2,
        waits=source.random() < 0.5,
    )


def _findings(payload: Payload, seed: int) -> Iterator[tuple[str, dict[str, str]]]:
    source = random.Random(f"texts {seed} {payload.number}")
    each = payload.size // payload.findings
    for number in range(payload.findings):
        yield payload.own_tag(number), _texts(source, each)
    for number in payload.shared:
        tag = payload.shared_tag(number)
        yield tag, {"message": f"about {tag}", "snippet": "", "fix": ""}


def _texts(source: random.Random, size: int) -> dict[str, str]:
    """Noise of about ``size`` characters, in texts as long as the hub keeps."""
    noise = source.randbytes(max(size // 2, 8)).hex()
    first, second = noise[:_LONGEST_TEXT], noise[_LONGEST_TEXT : 2 * _LONGEST_TEXT]
    return {"message": first, "snippet": second, "fix": noise[2 * _LONGEST_TEXT :]}


def _result(tag: str, texts: dict[str, str]) -> dict[str, Any]:
    region = {"startLine": 1, "snippet": {"text": texts["snippet"]}}
    location = {"artifactLocation": {"uri": path_of(tag)}, "region": region}
    return {
        "ruleId": "S1",
        "level": "warning",
        "message": {"text": texts["message"]},
        "partialFingerprints": {FINGERPRINT_KEY: tag},
        "locations": [{"physicalLocation": location}],
    }
