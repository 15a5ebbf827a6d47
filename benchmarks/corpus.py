"""The input: what ruff finds in this interpreter's standard library, in several sizes.

The drifted version has 1 % of its findings removed, 1 % new ones and 5 % moved by some lines.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import msgspec

from odavl.engines.insight.sarif_import import results_from_sarif
from odavl.wire.analysis import ANALYSIS_DECODER, AnalysisResults, Diagnostic
from odavl.wire.encoding import decode_json
from odavl.wire.sarif import SARIF_DECODER, SarifLog

_SEED = 20_260_101
_QUICK = 50


@dataclass(frozen=True, slots=True)
class Corpus:
    """Where the input is kept, and how much of it is used."""

    folder: Path
    is_quick: bool = False

    @property
    def runs(self) -> int:
        """How often something is measured, after its warm-up."""
        return 2 if self.is_quick else 5

    def size(self, findings: int) -> int:
        """``findings``, or a fiftieth of them."""
        return findings // _QUICK if self.is_quick else findings

    def results(self, findings: int) -> AnalysisResults:
        """The analysis document of :meth:`size` findings, with snippets and fingerprints."""
        return results_of_size(self.folder, self.size(findings))


def source_tree(folder: Path) -> Path:
    """A copy of the standard library without what was installed into it."""
    target = folder / "stdlib"
    if not target.exists():
        shutil.copytree(
            sysconfig.get_path("stdlib"),
            target,
            ignore=shutil.ignore_patterns("site-packages", "__pycache__", "*.so", "*.pyc"),
        )
    return target


def sarif_of_ruff(folder: Path) -> Path:
    """Ruff's SARIF over the standard library with every rule on: more than 100,000 findings."""
    report = folder / "ruff.sarif"
    if not report.exists():
        draft = report.with_suffix(".draft")
        with draft.open("wb") as output:
            subprocess.run(
                [
                    *(str(Path(sys.executable).with_name("ruff")), "check", "--isolated"),
                    *("--no-cache", "--quiet", "--select", "ALL", "--output-format", "sarif", "."),
                ],
                cwd=source_tree(folder),
                stdout=output,
                check=False,
            )
        draft.rename(report)
    return report


def sarif_of_size(folder: Path, size: int) -> Path:
    """The first ``size`` findings of :func:`sarif_of_ruff` as a SARIF file of its own."""
    report = folder / f"ruff-{size}.sarif"
    if not report.exists():
        log = decode_json(sarif_of_ruff(folder).read_bytes(), msgspec.json.Decoder(dict))
        run = log["runs"][0]
        if len(run["results"]) < size:
            raise SystemExit(f"ruff finds only {len(run['results'])} of {size} here.")
        run["results"] = run["results"][:size]
        report.write_bytes(msgspec.json.encode(log))
    return report


def results_of_size(folder: Path, size: int) -> AnalysisResults:
    """The analysis document of that many findings, with snippets and fingerprints."""
    log: SarifLog = decode_json(sarif_of_size(folder, size).read_bytes(), SARIF_DECODER)
    return results_from_sarif(log, root=source_tree(folder))


def drifted(body: bytes) -> bytes:
    """The document a few commits later."""
    results = decode_json(body, ANALYSIS_DECODER)
    chance = random.Random(_SEED)
    places = [
        (path, place) for path, found in results.diagnostics.items() for place in range(len(found))
    ]
    one_percent = len(places) // 100
    chosen = chance.sample(places, 6 * one_percent)
    for path, place in chosen[one_percent:]:
        results.diagnostics[path][place].line += 3
    removed = set(chosen[:one_percent])
    for path, found in results.diagnostics.items():
        found[:] = [each for place, each in enumerate(found) if (path, place) not in removed]
    paths = list(results.diagnostics)
    for number in range(one_percent):
        results.diagnostics[chance.choice(paths)].append(
            Diagnostic(
                severity="low",
                message=f"something new, number {number}",
                source="ruff",
                code="NEW001",
                line=number,
                fingerprint=f"{chance.getrandbits(128):032x}",
            )
        )
    return msgspec.json.encode(results)
