"""The verdict: what the clients were told, held against the hub's database and what it gives back.

Nothing here asks the hub's own code. Counts come from its tables, bytes from its addresses, and
what became of each issue from a model of ten lines.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.hub_at_work import HubAtWork
from tests.faults.soak.journal import Told
from tests.faults.soak.payloads import Payload, tag_of

SETTLE_SECONDS = 420
_LOOK_SECONDS = 0.5

_UNSETTLED = """
SELECT (SELECT count(*) FROM uploads_upload WHERE state NOT IN ('completed', 'failed'))
     + (SELECT count(*) FROM uploads_transfer WHERE state NOT IN ('done', 'failed', 'expired'))
     + (SELECT count(*) FROM jobs_job
        WHERE state NOT IN ('completed', 'failed', 'cancelled') AND type IN (%s, %s))
"""
_OF_THE_HUB = ("insight.ingest", "uploads.assemble")
_UPLOADS = """
SELECT stored.sha256, upload.id::text, upload.run_id::text, upload.state, upload.problem::text,
       stored.size
FROM uploads_upload AS upload JOIN storage_storedobject AS stored ON stored.id = upload.stored_id
"""
_RUNS = """
SELECT project.name || '/' || stream.branch, stream.last_sequence, run.sequence, run.state,
       run.upload_id::text, run.analysed_at, run.new_count, run.fixed_count, run.reopened_count,
       run.unchanged_count, run.total, run.open_total
FROM insight_run AS run JOIN insight_stream AS stream ON stream.id = run.stream_id
JOIN accounts_project AS project ON project.id = stream.project_id
ORDER BY stream.id, run.sequence
"""
_OPEN = """
SELECT project.name || '/' || stream.branch, issue.path
FROM insight_issue AS issue JOIN insight_stream AS stream ON stream.id = issue.stream_id
JOIN accounts_project AS project ON project.id = stream.project_id
WHERE issue.resolved IS NULL
"""
_LEFT_BEHIND = {
    "unfinished transfers": "SELECT count(*) FROM uploads_transfer WHERE state <> 'done'",
    "chunks of transfers that have ended": "SELECT count(*) FROM uploads_transferchunk",
    "jobs that failed": "SELECT count(*) FROM jobs_job WHERE state IN ('failed', 'cancelled')",
    "advisory locks": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    "connections idle in a transaction":
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' "
        "AND state_change < now() - interval '5 s'",
    "issues that stand twice":
        "SELECT count(*) - count(DISTINCT (stream_id, identity)) FROM insight_issue",
}  # fmt: skip
_UNFORESEEN = ("in a way that nobody foresaw", "The database refused a")
"""What the hub logs where it answers 500."""


@dataclass(slots=True)
class Settled:
    """``seconds`` from the last kill until nothing was under way any more."""

    seconds: float = 0
    lost: int = 0
    double: int = 0
    different: int = 0
    attempts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Upload:
    sha256: str
    upload_id: str
    run_id: str | None
    state: str
    problem: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did to its stream."""

    new: int
    fixed: int
    reopened: int
    unchanged: int
    total: int
    open_total: int


@dataclass
class Judge:
    hub: HubAtWork
    planned: list[Payload]
    told: list[Told]
    deviations: list[str] = field(default_factory=list)

    def settle(self) -> Settled:
        """Wait until the hub is done, and note in ``deviations`` whatever is not as it must be."""
        settled = Settled(seconds=self._wait())
        uploads = [Upload(*row) for row in self._rows(_UPLOADS)]
        by_digest: dict[str, list[Upload]] = defaultdict(list)
        for upload in uploads:
            by_digest[upload.sha256].append(upload)
        self._everybody_answered()
        for told in self.told:
            found = by_digest.pop(told.sha256, [])
            settled.lost += not found
            settled.double += len(found) > 1
            self._hold_to_its_word(told, found)
        self._deviate(f"an upload that nobody sent: {each}" for each in by_digest.values())
        settled.different = self._downloaded()
        self._replay(uploads)
        self._nothing_left_behind()
        settled.attempts.update(
            {str(attempts): count for attempts, count in self._rows(
                "SELECT attempts, count(*) FROM jobs_job GROUP BY attempts ORDER BY attempts"
            )}
        )  # fmt: skip
        return settled

    def _wait(self) -> float:
        started = time.monotonic()
        while (count := self._rows(_UNSETTLED, *_OF_THE_HUB)[0][0]) and (
            time.monotonic() - started < SETTLE_SECONDS
        ):
            threading.Event().wait(_LOOK_SECONDS)  # between two looks
        if count:
            self.deviations.append(f"{count} uploads, transfers and jobs are stuck")
        return time.monotonic() - started

    def _everybody_answered(self) -> None:
        numbers = Counter(told.number for told in self.told)
        for payload in self.planned:
            if numbers[payload.number] != 1:
                self.deviations.append(
                    f"payload {payload.number}: {numbers[payload.number]} answers, not 1"
                )
        self._deviate(f"payload {told.number}: {told.broken}" for told in self.told if told.broken)

    def _hold_to_its_word(self, told: Told, found: list[Upload]) -> None:
        if len(found) != 1:
            what = "lost" if not found else f"stands {len(found)} times: {found}"
            self.deviations.append(f"payload {told.number} (told {told.state}) is {what}")
            return
        (upload,) = found
        if upload.state != "completed" or upload.size != told.size:
            self.deviations.append(f"payload {told.number}: {upload}, {told.size} bytes were sent")
        for said, kept in ((told.upload_id, upload.upload_id), (told.run_id, upload.run_id)):
            if said is not None and said != kept:
                self.deviations.append(f"payload {told.number}: told {said}, and it is {kept}")

    def _downloaded(self) -> int:
        """How many payloads the hub gives back otherwise than they were sent."""
        different = 0
        runs = {sha256: run_id for sha256, _, run_id, *_ in self._rows(_UPLOADS)}
        for told in self.told:
            run_id = runs.get(told.sha256)
            if run_id is None:
                continue  # lost, which is counted already
            digest = hashlib.sha256()
            with self.hub.http.stream("GET", f"/insight/runs/{run_id}/payload") as answer:
                for piece in answer.iter_bytes():
                    digest.update(piece)
            if digest.hexdigest() != told.sha256:
                different += 1
                self.deviations.append(
                    f"payload {told.number}: {answer.status_code}, {digest.hexdigest()} came back "
                    f"for {told.sha256}"
                )
        return different

    def _replay(self, uploads: list[Upload]) -> None:
        """Each run of each stream, in the hub's order, against what its findings say."""
        numbers = {told.sha256: told.number for told in self.told}
        sent = {
            upload.upload_id: self.planned[numbers[upload.sha256]]
            for upload in uploads
            if upload.sha256 in numbers
        }
        streams: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for stream, *row in self._rows(_RUNS):
            streams[stream].append(tuple(row))
        left: dict[str, set[str]] = defaultdict(set)
        for stream, path in self._rows(_OPEN):
            left[stream].add(tag_of(path))
        for stream, rows in streams.items():
            sequences = [row[1] for row in rows]
            if sequences != list(range(1, rows[0][0] + 1)):
                self.deviations.append(f"{stream}: sequences {sequences}, last {rows[0][0]}")
            runs = [(row, sent[row[3]]) for row in rows if row[3] in sent]
            still_there = self._replay_stream(stream, runs)
            if still_there != left[stream]:
                wrong = sorted(still_there ^ left[stream])[:5]
                self.deviations.append(f"{stream}: other issues are open than must be: {wrong}")

    def _replay_stream(
        self, stream: str, runs: Iterable[tuple[tuple[Any, ...], Payload]]
    ) -> set[str]:
        """The issues that are open at the end."""
        known: set[str] = set()
        there: set[str] = set()
        latest = None
        for row, payload in runs:
            tags = payload.tags()
            if latest is not None and row[4] < latest:
                # A later look at everything was in before: this one has nothing to say any more.
                counts = Counts(0, 0, 0, 0, 0, open_total=len(there))
            else:
                counts = Counts(
                    new=len(tags - known),
                    fixed=len(there - tags),
                    reopened=len(tags & known - there),
                    unchanged=len(tags & there),
                    total=len(tags),
                    open_total=len(tags),
                )
                known |= tags
                there, latest = tags, row[4]
            if payload.stream != stream or row[2] != "completed" or Counts(*row[5:]) != counts:
                self.deviations.append(
                    f"{stream} run {row[1]} of payload {payload.number} for {payload.stream}: "
                    f"{row[2]} {Counts(*row[5:])}, and must be {counts}"
                )
        return there

    def _nothing_left_behind(self) -> None:
        for what, statement in _LEFT_BEHIND.items():
            ((count,),) = self._rows(statement)
            if count:
                self.deviations.append(f"{count} {what}")
        log = self.hub.process.log()
        self._deviate(f"{log.count(text)} times in the log: {text}" for text in _UNFORESEEN
                      if text in log)  # fmt: skip

    def _rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self.hub.database() as cursor:
            cursor.execute(statement, arguments or None)
            return list(cursor.fetchall())

    def _deviate(self, found: Iterable[str]) -> None:
        self.deviations += found
