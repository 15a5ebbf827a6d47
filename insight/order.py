"""Runs that arrive in another order than they were made in.

A queue that waited for a weekend, a pipeline's slow job, a second machine: what arrives last is not
always what was seen last. For each detector and file the latest analysis counts, whenever it
arrived; so the issues of a stream end the same in whatever order its runs come.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress

from insight.models import Forgotten, Run, RunState, Stream
from insight.payload import Document, File, Header
from insight.rows import Source
from odavl.wire.moments import checked
from uploads.models import Upload
from uploads.queries import clock_ahead, told_time


@dataclass(slots=True)
class LaterCoverage:
    """What analyses that are later than a run have looked at."""

    everywhere: set[str] = field(default_factory=set)
    """Detectors that were run over the whole project."""
    files: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The files that other detectors looked at, by detector."""

    def cover(self, detector: str, path: str) -> bool:
        """Whether a later analysis says what this detector finds in this file."""
        return detector in self.everywhere or path in self.files.get(detector, ())

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Detector and file of each look that was not at the whole project."""
        for detector, paths in self.files.items():
            if detector not in self.everywhere:
                yield from ((detector, path) for path in paths)


def time_of_analysis(upload: Upload, header: Header, *, arrival: datetime) -> datetime:
    """When the analysis was made: the document's word, else the metadata's, else its arrival.

    Never later than the arrival: nobody has seen the future. Where the client told its clock, what
    that differs from ours is taken off.
    """
    if header.analysed_at is not None:
        told = checked(header.analysed_at, "/analysedAt") - clock_ahead(upload)
    else:
        told = told_time(upload) or arrival
    return min(told, arrival)


def later_coverage(run: Run, latest: datetime | None) -> LaterCoverage | None:
    """By the runs of the stream that were made later and ingested before; None without any.

    ``latest`` is the time of the latest of all that are in, None where it has to be looked up.
    """
    if run.sequence == 1 or run.analysed_at is None:
        return None
    if latest is not None and latest <= run.analysed_at:
        return None
    later = (
        Run.objects.belonging_to(stream=run.stream)
        .filter(
            sequence__lt=run.sequence, state=RunState.COMPLETED, analysed_at__gt=run.analysed_at
        )
        .order_by("-analysed_at")
        .values_list("detectors", "files")
    )
    coverage: LaterCoverage | None = None
    for detectors, files in later.iterator(chunk_size=200):
        coverage = coverage or LaterCoverage()
        for name in (report["name"] for report in detectors if report["status"] == "ran"):
            if files is None:
                coverage.everywhere.add(name)
            else:
                coverage.files[name].update(files)
    for name, path in _coverage_of_deleted(run.stream, after=run.analysed_at):
        coverage = coverage or LaterCoverage()
        if path:
            coverage.files[name].add(path)
        else:
            coverage.everywhere.add(name)
    return coverage


def _coverage_of_deleted(stream: Stream, *, after: datetime) -> Iterator[tuple[str, str]]:
    """Detector and path (none for the whole project) of the looks of runs that have gone."""
    forgotten = Forgotten.objects.belonging_to(stream=stream).first()
    for detector, times in (forgotten.looks if forgotten else {}).items():
        yield from (
            (detector, path)
            for path, moment in times.items()
            if datetime.fromisoformat(moment) > after
        )


class RemainingDocument:
    """``document`` without the findings that later analyses have looked for."""

    def __init__(self, document: Document, coverage: LaterCoverage, source: Source) -> None:
        self._document = document
        self._later = coverage
        self._source = source
        self.left_out: Counter[str] = Counter()
        """Findings left out in the latest pass, by detector."""

    @property
    def header(self) -> Header:
        return self._document.header

    def files(self) -> Iterator[File]:
        self.left_out.clear()
        for file in self._document.files():
            yield self._remaining(file)

    def _remaining(self, file: File) -> File:
        detectors = [self._detector(sighting.source) for sighting in file.sightings()]
        covered = [self._later.cover(detector, file.path) for detector in detectors]
        if not any(covered):
            return file
        self.left_out.update(compress(detectors, covered))
        parts = zip(file.parts(), covered, strict=True)
        return file.only(part for part, is_covered in parts if not is_covered)

    def _detector(self, named: str) -> str:
        return named if named and not self._source.forced else self._source.name
