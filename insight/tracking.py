"""Matching a run's findings with its stream's issues, in the database.

Everything happens in one transaction that has the stream's lock. The findings' keys go into a
temporary table by COPY; one hash join with the unresolved issues tells what differs; only that is
read a second time and written. The keys of a small run are first sent along with that join: mostly
nothing differs, and no table is touched.

* *fresh*    no issue has this identity: a new one, unless it turns out to be one of the next two
* *reopened* a resolved issue has this identity
* *renamed*  the same fingerprint at another path, where an issue of that fingerprint went missing
* *changed*  the same identity, but its line, texts or severity differ
* *gone*     an unresolved issue within the run's scope that no finding has
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any
from weakref import WeakSet

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from insight.copying import FIELD, NULL, copy_rows
from insight.models import Run
from insight.payload import Document
from insight.rows import (
    DETAIL_COLUMNS,
    ISSUE_COLUMNS,
    KEY_COLUMNS,
    NAME_OF_SEVERITY,
    Source,
    Tally,
    details,
    keyed,
    keys_of,
    selected_details,
)

_FRESH, _CHANGED, _RENAMED, _REOPENED, _GONE = range(5)
_FEW = 1_000
"""Keys, or differences, that travel without a temporary table."""

# One set of tables for each connection, emptied at each commit: creating them anew for every small
# upload would churn the catalogue.
_TABLES = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS ingest_key
    (ordinal int, identity uuid, fingerprint uuid, content int) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS ingest_difference
    (ordinal int, issue_id bigint, fingerprint uuid, kind smallint) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS ingest_row ON COMMIT DELETE ROWS AS
    SELECT 0::int AS ordinal, {DETAIL_COLUMNS} FROM insight_issue WITH NO DATA;
"""
# Two runs may be ingested by one transaction.
_EMPTY_TABLES = """
DELETE FROM ingest_key; DELETE FROM ingest_difference; DELETE FROM ingest_row;
-- The joins below hash the keys of the whole run.
SET LOCAL work_mem = '64MB';
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a run speaks for. ``files`` is None for the whole project."""

    detectors: list[str]
    files: list[str] | None
    without: tuple[tuple[str, str], ...] = ()
    """Detectors and files of which later runs have spoken."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How many issues, suppressed ones left out."""

    new: int = 0
    fixed: int = 0
    reopened: int = 0
    change: Mapping[str, int] = field(default_factory=dict)
    """Of the stream's unresolved issues, by severity."""


class Tracker:
    """Ingests one run's document into its stream. The caller has the stream's lock."""

    def __init__(
        self,
        run: Run,
        document: Document,
        source: Source,
        *,
        writing: Callable[[], None] | None = None,
    ) -> None:
        """``writing`` is called once, before anything is written; not for a run without change."""
        self._writing = writing or (lambda: None)
        self._run = run
        self._stream_id: int = run.stream_id
        self._document = document
        self._source = source
        self._starts = array("q")
        """The ordinal of each file's first finding."""
        self._paths: list[str] = []
        """Of the files that have findings."""
        self._few: list[str] | None = None
        """The rows for ``ingest_key``, as long as they are not in it."""

    def take_first(self) -> tuple[Tally, Difference]:
        """The first findings of a stream: every one is new, one COPY suffices."""
        tally = Tally()
        self._writing()
        with connection.cursor() as cursor:
            copy_rows(cursor, "insight_issue", ISSUE_COLUMNS, self._issue_rows(tally))
        return tally, Difference(new=tally.findings - tally.suppressed, change=tally.severities)

    def take_keys(self) -> Tally:
        """Ingest the keys of all findings, to be followed by :meth:`take_difference`."""
        tally = Tally()
        rows = self._key_rows(tally)
        first = list(islice(rows, _FEW + 1))
        if len(first) <= _FEW:
            self._few = first
            return tally
        self._writing()
        with connection.cursor() as cursor:
            _prepare_tables(cursor)
            copy_rows(cursor, "ingest_key", KEY_COLUMNS, chain(first, rows))
        return tally

    def take_difference(self, reach: Reach) -> Difference:
        """Write what differs from the unresolved issues of the stream."""
        with connection.cursor() as cursor:
            kinds = self._find_difference(cursor, self._parameters(reach))
            if not kinds:
                return Difference()
            if _FRESH in kinds:
                cursor.execute(_FIND_REOPENED, self._parameters())
                if _GONE in kinds:
                    cursor.execute(_FIND_RENAMED)
                kinds = self._kinds(cursor)
            if kinds.keys() - {_GONE}:
                columns = f"ordinal, {DETAIL_COLUMNS}"
                rows = self._differing_rows(_differing_ordinals(cursor))
                copy_rows(cursor, "ingest_row", columns, rows)
            return self._write(cursor, kinds)

    def _find_difference(self, cursor: CursorWrapper, parameters: dict[str, Any]) -> dict[int, int]:
        """Fill ``ingest_difference``; how many there are of each kind."""
        if self._few is not None:
            sent = _as_arrays(self._few) | {"most": _FEW + 1}
            cursor.execute(_FIRST_DIFFERENCES, parameters | sent)
            found = cursor.fetchall()
            if not found:
                return {}
            self._writing()
            _prepare_tables(cursor)
            copy_rows(cursor, "ingest_key", KEY_COLUMNS, self._few)
            if len(found) <= _FEW:
                copy_rows(cursor, "ingest_difference", _DIFFERENCE_COLUMNS, _as_rows(found))
                return Counter(kind for *_, kind in found)
        cursor.execute(_FIND_DIFFERENCE, parameters)
        return self._kinds(cursor) if cursor.rowcount else {}

    def _write(self, cursor: CursorWrapper, kinds: dict[int, int]) -> Difference:
        new = fixed = reopened = 0
        change = _change(cursor)
        if _GONE in kinds:
            fixed = _count(cursor, _RESOLVE, self._parameters())
        if _CHANGED in kinds or _RENAMED in kinds:
            cursor.execute(_UPDATE)
        if _REOPENED in kinds:
            cursor.execute(_KEEP_PAST, self._parameters())
            reopened = _count(cursor, _REOPEN, self._parameters())
        if _FRESH in kinds:
            new = _count(cursor, _INSERT, self._parameters())
        return Difference(new=new, fixed=fixed, reopened=reopened, change=change)

    def _parameters(self, reach: Reach | None = None) -> dict[str, Any]:
        parameters: dict[str, object] = {
            "stream": self._stream_id,
            "sequence": self._run.sequence,
        }
        if reach is not None:
            files = reach.files
            # The path is part of an identity, so no issue elsewhere is one of the findings.
            paths = None if files is None else list({*files, *self._paths})
            parameters |= {
                "detectors": reach.detectors,
                "files": files,
                "paths": paths,
                "late_detectors": [detector for detector, _ in reach.without],
                "late_files": [path for _, path in reach.without],
            }
        return parameters

    @staticmethod
    def _kinds(cursor: CursorWrapper) -> dict[int, int]:
        cursor.execute("SELECT kind, count(*) FROM ingest_difference GROUP BY kind")
        return dict(cursor.fetchall())

    def _issue_rows(self, tally: Tally) -> Iterator[str]:
        start = f"{self._stream_id}{FIELD}{self._run.sequence}{FIELD}"
        for file in self._document.files():
            for key, diagnostic in keyed(file, self._source, tally):
                yield f"{start}{key}{FIELD}{details(diagnostic, file.path)}"

    def _key_rows(self, tally: Tally) -> Iterator[str]:
        ordinal = 0
        for file in self._document.files():
            self._starts.append(ordinal)
            self._paths.append(file.path)
            keys = keys_of(file, self._source, tally)
            for at, key in enumerate(keys, ordinal):
                yield f"{at}{FIELD}{key}"
            ordinal += len(keys)

    def _differing_rows(self, wanted: array[int]) -> Iterator[str]:
        """The details of the findings that differ; only they are decoded again."""
        for file, start, end in zip(
            self._document.files(), self._starts, [*self._starts[1:], None], strict=True
        ):
            first = bisect_left(wanted, start)
            last = len(wanted) if end is None else bisect_left(wanted, end)
            ordinals = wanted[first:last]
            if ordinals:
                places = [ordinal - start for ordinal in ordinals]
                rows = selected_details(file, self._source, places)
                for ordinal, row in zip(ordinals, rows, strict=True):
                    yield f"{ordinal}{FIELD}{row}"


_prepared: WeakSet[object] = WeakSet()
"""psycopg2 connections whose temporary tables are there for good."""


def _prepare_tables(cursor: CursorWrapper) -> None:
    session = connection.connection
    if session in _prepared:
        cursor.execute(_EMPTY_TABLES)
        return
    cursor.execute(_TABLES + _EMPTY_TABLES)
    # Not before: a rollback takes the tables away again.
    transaction.on_commit(lambda: _prepared.add(session))


def _as_arrays(rows: Iterable[str]) -> dict[str, object]:
    """Rows of :data:`KEY_COLUMNS` as PostgreSQL's arrays, by the names in :data:`_SENT_KEYS`."""
    columns = zip(*(row.split(FIELD) for row in rows), strict=True)
    arrays = [f"{{{','.join(column)}}}" for column in columns] or ["{}"] * 4
    return dict(zip(("ordinals", "identities", "fingerprints", "contents"), arrays, strict=True))


def _as_rows(found: Iterable[tuple[object, ...]]) -> Iterator[str]:
    for values in found:
        yield FIELD.join(NULL if value is None else str(value) for value in values)


def _differing_ordinals(cursor: CursorWrapper) -> array[int]:
    cursor.execute(
        "SELECT ordinal FROM ingest_difference WHERE ordinal IS NOT NULL ORDER BY ordinal"
    )
    return array("q", (ordinal for (ordinal,) in cursor.fetchall()))


def _change(cursor: CursorWrapper) -> dict[str, int]:
    cursor.execute(_CHANGE)
    return {NAME_OF_SEVERITY[severity]: number for severity, number in cursor.fetchall()}


def _count(cursor: CursorWrapper, statement: str, parameters: dict[str, Any]) -> int:
    cursor.execute(statement, parameters)
    count: int = cursor.fetchone()[0]
    return count


_DIFFERENCE_COLUMNS = "ordinal, issue_id, fingerprint, kind"
_DIFFERENCE = f"""
SELECT key.ordinal, issue.id, coalesce(key.fingerprint, issue.fingerprint),
       CASE WHEN issue.id IS NULL THEN {_FRESH} WHEN key.ordinal IS NULL THEN {_GONE}
            ELSE {_CHANGED} END
FROM (SELECT id, identity, fingerprint, content, detector, path FROM insight_issue
      WHERE stream_id = %(stream)s AND resolved IS NULL
        AND (%(paths)s::text[] IS NULL OR path = ANY(%(paths)s::text[]))) AS issue
FULL JOIN {{keys}} ON key.identity = issue.identity
WHERE issue.id IS NULL
   OR (key.ordinal IS NOT NULL AND key.content <> issue.content)
   OR (key.ordinal IS NULL AND issue.detector = ANY(%(detectors)s)
       AND (%(files)s::text[] IS NULL OR issue.path = ANY(%(files)s::text[]))
       AND (issue.detector, issue.path) NOT IN (
           SELECT * FROM unnest(%(late_detectors)s::text[], %(late_files)s::text[])))
"""
_FIND_DIFFERENCE = f"INSERT INTO ingest_difference ({_DIFFERENCE_COLUMNS})" + _DIFFERENCE.format(
    keys="ingest_key AS key"
)
_SENT_KEYS = f"""
    unnest(%(ordinals)s::int[], %(identities)s::uuid[], %(fingerprints)s::uuid[],
           %(contents)s::int[]) AS key ({KEY_COLUMNS})"""
# However few keys there are, any number of issues may be gone.
_FIRST_DIFFERENCES = _DIFFERENCE.format(keys=_SENT_KEYS) + "LIMIT %(most)s"

_FIND_REOPENED = f"""
UPDATE ingest_difference AS difference SET kind = {_REOPENED}, issue_id = issue.id
FROM ingest_key AS key, insight_issue AS issue
WHERE difference.kind = {_FRESH} AND key.ordinal = difference.ordinal
  AND issue.stream_id = %(stream)s AND issue.identity = key.identity
  AND issue.resolved IS NOT NULL
"""

# The n-th fresh finding of a fingerprint takes over the n-th issue of it that is gone.
_FIND_RENAMED = f"""
WITH fresh AS (
    SELECT ordinal, fingerprint,
           row_number() OVER (PARTITION BY fingerprint ORDER BY ordinal) AS place
    FROM ingest_difference WHERE kind = {_FRESH}
), gone AS (
    SELECT issue_id, fingerprint,
           row_number() OVER (PARTITION BY fingerprint ORDER BY issue_id) AS place
    FROM ingest_difference WHERE kind = {_GONE}
), pair AS (
    SELECT fresh.ordinal, gone.issue_id FROM fresh JOIN gone USING (fingerprint, place)
), taken AS (
    DELETE FROM ingest_difference AS difference USING pair
    WHERE difference.kind = {_GONE} AND difference.issue_id = pair.issue_id
)
UPDATE ingest_difference AS difference SET kind = {_RENAMED}, issue_id = pair.issue_id
FROM pair WHERE difference.ordinal = pair.ordinal
"""

# Asked before anything is written: a changed finding may have had another severity.
_CHANGE = f"""
SELECT severity, sum(number)::int FROM (
    SELECT issue.severity, -count(*) AS number
    FROM ingest_difference AS difference JOIN insight_issue AS issue ON issue.id = issue_id
    WHERE kind IN ({_GONE}, {_CHANGED}, {_RENAMED}) AND NOT issue.suppressed
    GROUP BY issue.severity
    UNION ALL
    SELECT row.severity, count(*)
    FROM ingest_difference AS difference JOIN ingest_row AS row USING (ordinal)
    WHERE NOT row.suppressed
    GROUP BY row.severity
) AS part GROUP BY severity
"""

_RESOLVE = f"""
WITH resolved AS (
    UPDATE insight_issue AS issue SET resolved = %(sequence)s
    FROM ingest_difference AS difference
    WHERE difference.kind = {_GONE} AND issue.id = difference.issue_id
    RETURNING issue.suppressed
) SELECT count(*) FILTER (WHERE NOT suppressed) FROM resolved
"""

_TAKE_OVER = """
    identity = key.identity, content = key.content, severity = row.severity, line = row.line,
    "column" = row.column, end_line = row.end_line, end_column = row.end_column,
    suppressed = row.suppressed, path = row.path, message = row.message, snippet = row.snippet,
    fix = row.fix, url = row.url
"""

_DIFFERING = """
    ingest_difference AS difference JOIN ingest_key AS key USING (ordinal)
    JOIN ingest_row AS row USING (ordinal)
"""

_UPDATE = f"""
UPDATE insight_issue AS issue SET {_TAKE_OVER}
FROM {_DIFFERING}
WHERE difference.kind IN ({_CHANGED}, {_RENAMED}) AND issue.id = difference.issue_id
"""

_KEEP_PAST = f"""
INSERT INTO insight_pastinterval (stream_id, issue_id, introduced, resolved)
SELECT issue.stream_id, issue.id, issue.introduced, issue.resolved
FROM ingest_difference AS difference JOIN insight_issue AS issue ON issue.id = difference.issue_id
WHERE difference.kind = {_REOPENED}
"""

_REOPEN = f"""
WITH reopened AS (
    UPDATE insight_issue AS issue SET {_TAKE_OVER}, introduced = %(sequence)s, resolved = NULL,
        reopenings = issue.reopenings + 1
    FROM {_DIFFERING}
    WHERE difference.kind = {_REOPENED} AND issue.id = difference.issue_id
    RETURNING issue.suppressed
) SELECT count(*) FILTER (WHERE NOT suppressed) FROM reopened
"""

_ROW_DETAILS = ", ".join(f"row.{column}" for column in DETAIL_COLUMNS.split(", "))
_INSERT = f"""
WITH inserted AS (
    INSERT INTO insight_issue ({ISSUE_COLUMNS})
    SELECT %(stream)s, %(sequence)s, key.identity, key.fingerprint, key.content, {_ROW_DETAILS}
    FROM {_DIFFERING}
    WHERE difference.kind = {_FRESH} ORDER BY ordinal
    RETURNING suppressed
) SELECT count(*) FILTER (WHERE NOT suppressed) FROM inserted
"""
