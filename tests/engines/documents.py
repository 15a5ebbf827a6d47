"""Questions that tests ask of an analysis."""

from odavl.wire.analysis import AnalysisResults, DetectorReport, Diagnostic


def found(results: AnalysisResults, detector: str) -> set[tuple[str, str, int]]:
    return {
        (path, each.code, each.line)
        for path, diagnostics in results.diagnostics.items()
        for each in diagnostics
        if each.source == detector
    }


def statuses(results: AnalysisResults) -> dict[str, str]:
    assert results.scope is not None
    return {each.name: each.status for each in results.scope.detectors}


def report(results: AnalysisResults, name: str) -> DetectorReport:
    assert results.scope is not None
    return next(each for each in results.scope.detectors if each.name == name)


def everything(results: AnalysisResults) -> list[Diagnostic]:
    return [each for diagnostics in results.diagnostics.values() for each in diagnostics]
