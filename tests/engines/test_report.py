"""The document that a run leaves in the project."""

import json

import pytest

from odavl.engines.insight.report import EXPORT_PATH, write_export
from odavl.wire.analysis import ANALYSIS_DECODER, AnalysisResults, Diagnostic


def results(message: str = "Bad") -> AnalysisResults:
    one = Diagnostic(severity="low", message=message, line=3, end_line=4, source="ruff", code="E1")
    return AnalysisResults(diagnostics={"a.py": [one]})


def test_is_the_document_of_the_wire(tmp_path):
    path = write_export(tmp_path, results())
    assert path == tmp_path / EXPORT_PATH
    assert ANALYSIS_DECODER.decode(path.read_bytes()) == results()


def test_reads_well(tmp_path):
    text = write_export(tmp_path, results("Ünïcode")).read_text("utf-8")
    assert '      "endLine": 4' in text
    assert "Ünïcode" in text
    assert text.endswith("}\n")


def test_replaces_the_one_before(tmp_path):
    write_export(tmp_path, results("one"))
    path = write_export(tmp_path, results("two"))
    assert json.loads(path.read_text())["diagnostics"]["a.py"][0]["message"] == "two"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_failure_leaves_the_one_before_and_nothing_else(tmp_path):
    path = write_export(tmp_path, results("one"))
    path.unlink()
    path.mkdir()  # a folder in its place: the rename must fail
    (path / "x").touch()
    with pytest.raises(OSError, match="directory"):
        write_export(tmp_path, results("two"))
    assert [each.name for each in path.parent.iterdir()] == [path.name]
