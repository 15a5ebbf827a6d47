"""COPY from Python to PostgreSQL, in bounded memory.

Rows are joined with a separator that no text may hold (:func:`insight.payload.File.diagnostics`
has made control characters visible), so escaping takes one pass in C over many rows instead of
one call for each field.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import DatabaseError
from django.db.backends.utils import CursorWrapper

FIELD = "\x1f"
ROW = "\x1e"
NULL = "\x1d"
_OPTIONS = r"(FORMAT text, DELIMITER E'\x1f', NULL E'\x1d')"
_ROWS_AT_ONCE = 2_000
_READ_SIZE = 1 << 18


def copy_rows(cursor: CursorWrapper, table: str, columns: str, rows: Iterable[str]) -> None:
    """Feed ``rows``, each its fields joined by :data:`FIELD`, into ``table (columns)``.

    What ``rows`` raises comes out as it was raised, what the database refuses as Django's errors.
    """
    reader = _Reader(_encoded(rows))
    statement = f"COPY {table} ({columns}) FROM STDIN WITH {_OPTIONS}"
    try:
        # Django's cursor has no COPY; this is psycopg2's own.
        with cursor.db.wrap_database_errors:
            cursor.cursor.copy_expert(statement, reader, _READ_SIZE)
    except DatabaseError:
        if reader.error is not None:
            raise reader.error from None
        raise


class _Reader:
    """The file that psycopg2 reads from. It swallows our exceptions, so they are kept here."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        while not self._rest:
            try:
                self._rest = next(self._pieces)
            except StopIteration:
                return b""
            except Exception as error:
                self.error = error
                raise
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def _encoded(rows: Iterable[str]) -> Iterator[bytes]:
    batch: list[str] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS_AT_ONCE:
            yield _escaped(batch)
            batch = []
    if batch:
        yield _escaped(batch)


def _escaped(batch: list[str]) -> bytes:
    text = ROW.join(batch)
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    text = text.replace("\n", "\\n")
    if "\r" in text:
        text = text.replace("\r", "\\r")
    return (text.replace(ROW, "\n") + "\n").encode()
