"""The document of an analysis in pieces."""

from __future__ import annotations

import msgspec
import pytest

from odavl.wire.analysis import AnalysisResults, Diagnostic, encoded_pieces

FOUND = Diagnostic(severity="low", message='a "}],{" of letters ü', line=3)


@pytest.mark.parametrize("files", [0, 1, 2, 3_000])
@pytest.mark.parametrize("findings", [0, 1, 40])
def test_the_pieces_are_the_document(files: int, findings: int) -> None:
    diagnostics = {f'src/"{number}".py': [FOUND] * findings for number in range(files)}
    results = AnalysisResults(diagnostics=diagnostics)
    pieces = list(encoded_pieces(results))
    assert b"".join(pieces) == msgspec.json.encode(results)
    # Many small files are not as many pieces, and a large document is none alone.
    assert all(len(piece) > 60_000 for piece in pieces[:-1])
    assert max(map(len, pieces)) < 100_000
