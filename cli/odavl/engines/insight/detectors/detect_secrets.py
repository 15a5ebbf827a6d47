"""detect-secrets: keys, tokens and passwords in files of any kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from odavl.engines.insight.detectors.interface import (
    Assignment,
    Detector,
    Reading,
    decode_output,
    position,
)
from odavl.engines.insight.severity import secret_severity
from odavl.engines.running.processes import Command, Finished
from odavl.engines.running.programs import Program, python_program
from odavl.wire import limits
from odavl.wire.analysis import Diagnostic


class _Finding(msgspec.Struct):
    type: str
    filename: str
    line_number: int = 0


class _Report(msgspec.Struct):
    results: dict[str, list[_Finding]]


_DECODER = msgspec.json.Decoder(_Report)
_ADVICE = "Revoke it, keep the new one outside of the source, and read it from the environment."
_URL = "https://github.com/Yelp/detect-secrets#viewing-all-enabled-plugins"


class DetectSecrets(Detector):
    """By hand: ``detect-secrets scan -n <files>``; ``-n``: nothing is sent anywhere to verify it.

    A project's ``.secrets.baseline`` is not read: it can name filters in files of the project,
    which detect-secrets would import and run. It is not scanned either, being full of hashes.
    """

    name = "detect-secrets"
    categories = ("secrets", "security")
    install = "pip install detect-secrets"
    weight = 6
    longest_line = limits.MEBIBYTE  # four seconds

    def find(self, root: Path) -> Program | None:
        return python_program("detect-secrets", root)

    def takes(self, path: str) -> bool:
        return not path.endswith(".secrets.baseline")

    def commands(self, assignment: Assignment) -> Iterable[Command]:
        for portion in assignment.portions():
            yield Command(
                (*assignment.program.command, "scan", "-n", *portion), success=frozenset({0})
            )

    def read(self, finished: Finished, assignment: Assignment) -> Reading:
        reading = Reading()
        for name, findings in decode_output(_DECODER, finished.stdout).results.items():
            path = assignment.path_of(name)
            if path is not None:
                for each in findings:
                    reading.add(path, _diagnostic(each))
        return reading


def _diagnostic(found: _Finding) -> Diagnostic:
    return Diagnostic(
        severity=secret_severity(found.type),
        message=f"Possible secret in the source: {found.type}",
        source=DetectSecrets.name,
        code=found.type.lower().replace(" ", "-"),
        line=position(found.line_number),
        fix=_ADVICE,
        url=_URL,
    )
