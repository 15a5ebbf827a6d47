"""Parts of a SARIF run that lie elsewhere (§3.14.2, §3.15, §4): beside the log, or at its end.

Only files at the log's side or below are read, of bearable size and never from the network: a log
is data of a stranger. What cannot be had is told; a run whose results did not come along does not
speak for their absence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from odavl.engines.insight.sarif_paths import RunPaths
from odavl.wire import limits
from odavl.wire.encoding import as_utf8, decode_json, visible
from odavl.wire.errors import RefusedError
from odavl.wire.sarif import (
    EXTERNAL_DECODER,
    ExternalFile,
    ExternalProperties,
    SarifLog,
    SarifRun,
    SarifTool,
)

ReadFile = Callable[[Path], bytes]
"""Reads a file of the log's folder. Raises :class:`OSError`."""

_MAX_FILES = 1_000
_LONGEST_NAME = 200


@dataclass(slots=True)
class WholeRun:
    """A run with all its parts; ``missing`` names those that could not be had."""

    run: SarifRun
    missing: list[str] = field(default_factory=list)
    lacks_results: bool = False


class ExternalParts:
    """The parts of one log. ``folder`` is where the log lies, None where nobody knows."""

    def __init__(self, log: SarifLog, folder: Path | None, read: ReadFile | None = None) -> None:
        self._inline = {
            each.guid.lower(): each for each in log.inline_external_properties if each.guid
        }
        self._folder = folder.resolve() if folder is not None else None
        self._read = read
        self._files = 0

    def whole(self, run: SarifRun) -> WholeRun:
        """``run`` with what it refers to put in."""
        references = run.external_property_file_references
        if references is None:
            return WholeRun(run)
        whole = WholeRun(run)
        paths = RunPaths(run, None)

        def parts(files: Sequence[ExternalFile]) -> list[ExternalProperties]:
            found = [self._part(each, run, paths) for each in files]
            lacking = [each for each, part in zip(files, found, strict=True) if part is None]
            whole.missing += map(_name_of, lacking)
            return [each for each in found if each is not None]

        results = parts(references.results)
        whole.lacks_results = len(results) < len(references.results)
        has_results = bool(references.results) or run.results is not None
        drivers = parts([references.driver] if references.driver else [])
        driver = next((each.driver for each in drivers if each.driver), run.tool.driver)
        extensions = [one for each in parts(references.extensions) for one in each.extensions]
        artifacts = [one for each in parts(references.artifacts) for one in each.artifacts]
        invocations = [one for each in parts(references.invocations) for one in each.invocations]
        logical = [
            one for each in parts(references.logical_locations) for one in each.logical_locations
        ]
        whole.run = msgspec.structs.replace(
            run,
            results=(
                [*(run.results or ()), *(one for each in results for one in each.results)]
                if has_results
                else None
            ),
            tool=SarifTool(driver=driver, extensions=[*run.tool.extensions, *extensions]),
            artifacts=[*run.artifacts, *artifacts],
            invocations=[*run.invocations, *invocations],
            logical_locations=[*run.logical_locations, *logical],
        )
        return whole

    def _part(
        self, file: ExternalFile, run: SarifRun, paths: RunPaths
    ) -> ExternalProperties | None:
        """None where it cannot be had, or is another's (§3.15.3, §4.3.2: the ids must agree)."""
        found = self._inline.get(file.guid.lower()) if file.guid else None
        if found is None:
            found = self._from_file(file, paths)
        if found is None or (file.guid and found.guid and file.guid.lower() != found.guid.lower()):
            return None
        own = run.automation_details.guid if run.automation_details else None
        if own and found.run_guid and own.lower() != found.run_guid.lower():
            return None
        return found

    def _from_file(self, file: ExternalFile, paths: RunPaths) -> ExternalProperties | None:
        if self._folder is None or self._read is None or file.location is None:
            return None
        base, relative = paths.resolved(file.location)
        place = (Path(base or self._folder) / relative).resolve()
        if not place.is_relative_to(self._folder) or self._files >= _MAX_FILES:
            return None
        self._files += 1
        try:
            return decode_json(as_utf8(self._read(place)), EXTERNAL_DECODER)
        except (OSError, RefusedError):
            return None


def _name_of(file: ExternalFile) -> str:
    location = file.location
    named = (location.uri if location else None) or file.guid or "(no name)"
    return visible(named)[: min(_LONGEST_NAME, limits.MAX_PATH_LENGTH)]
