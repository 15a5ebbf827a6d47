"""Small SARIF logs, and what is read from them."""

import json
from pathlib import Path

from odavl.engines.insight.sarif_import import results_from_sarif
from odavl.wire.analysis import AnalysisResults, Diagnostic
from odavl.wire.sarif import SARIF_DECODER, SarifLog
from tests.engines.documents import everything


def log(*runs: dict) -> SarifLog:
    return SARIF_DECODER.decode(json.dumps({"version": "2.1.0", "runs": runs}))


def run(*results: dict, name: str = "Tool", rules=(), **fields) -> dict:
    tool = {"driver": {"name": name, "rules": list(rules)}}
    return {"tool": tool, "results": list(results), **fields}


def result(text: str = "Bad", uri: str = "a.py", line: int = 1, **fields) -> dict:
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    return {"message": {"text": text}, "locations": [{"physicalLocation": place}], **fields}


def only(results: AnalysisResults) -> Diagnostic:
    (one,) = everything(results)
    return one


def read(*runs: dict, root: Path | None = None) -> AnalysisResults:
    return results_from_sarif(log(*runs), root=root)
