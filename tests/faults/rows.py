"""The rows of the fault suite: what goes wrong, and why a row, or a part of it, does not run.

A test shows row N by being called ``test_row_N_…``. docs/reliability.md is checked against this
table and the tests; the suite prints it, with what ran, at its end.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """A row, or what of it, that no test shows yet."""

    what: str
    why: str


ROWS: dict[int, str] = {
    1: "kill -9 between any two system calls of an enqueue",
    2: "kill -9 during an upload in chunks",
    3: "Ctrl-C during an upload",
    4: "disk full on blob, item or index",
    5: "home read-only, unset, or `queue/` a symlink",
    6: "20 commands enqueue at once",
    7: "source file edited, deleted or growing after queueing",
    8: "index truncated, zeroed or garbage",
    9: "item from a newer version",
    10: "modes wider than 0600/0700",
    11: "the hub's address changed since queueing",
    12: "redirect to another origin",
    13: "`Retry-After` as seconds, date, garbage, negative, enormous",
    14: "10,000 items queued",
    15: "FIFO, device or folder where a file is expected",
    16: "file names with control and bidirectional characters",
    17: "the connection cut every 64 KiB",
    18: "the answer lost after the commit",
    19: "black hole, slow hub, proxy's HTML 502, a captive portal's 200",
    20: "a head or a body that arrives slowly; clients that ask for much and do not read",
    21: "wrong or missing Content-Length, chunked transfer",
    22: "certificate expired or for another name",
    23: "wrong chunk digest",
    24: "manifest of a million chunks, of one chunk a million times",
    25: "same key, other body",
    26: "finalize with chunks missing",
    27: "another organization's uploadId, runId, file, key",
    28: "key revoked or expired during an upload",
    29: "quota: many uploads for the last place",
    30: "signed URL expired, for another size, type or digest",
    31: "truncated gzip, trailing junk, wrong base64",
    32: "gzip bomb",
    33: "nesting of 100,000, NaN and Infinity, integers of 5,000 digits",
    34: "NUL and lone surrogates in text",
    35: "line numbers beyond a database integer, text beyond an index row",
    36: "a million findings",
    37: "empty document, empty list, wrong type everywhere a type is possible",
    38: "`../`, absolute, `C:\\`, NUL in file names and archive members",
    39: "XML with entities",
    40: "web process killed at each step of finalize",
    41: "crash after commit, before the message",
    42: "worker killed in the middle of an ingest",
    43: "a worker that stops longer than its lease and comes back",
    44: "a job that kills its worker",
    45: "Redis killed in the middle of a job; Redis gone at finalize",
    46: "PostgreSQL stopped at once in the middle of an ingest",
    47: "object store answers 500 and SlowDown",
    48: "cancel and pause in the middle",
    49: "a flood of bulk jobs",
    50: "webhook and Guardian targets in private networks",
    51: "backup interrupted, truncated, bit-flipped",
    52: "two versions of the hub during a deployment",
    53: "a repository whose own settings name a hub",
    54: "the same `Idempotency-Key` in two projects, after a day, after a week in an offline queue",
    55: "store, database or broker away for an hour while runs wait",
    56: "clocks of web host and database 30 s apart",
    57: "an upload to a busy branch, eight at once",
    58: "a periodic task that takes a minute, a store that is away during clean-up",
    59: "one organization floods the bulk queue",
    60: "a key bound to a project: files, transfers and contents of another",
    61: "60 wrong passwords at any door, guesses from elsewhere, proxies, links in logs",
    62: "brotli or gzip answers of a hostile hub",
    63: "the hub's secrets in the environment of what it starts",
    64: "a detector that hangs, dies or floods; files nobody can read; Ctrl-C and SIGTERM",
    65: "runs that arrive in the wrong order",
}

MISSING: dict[int, Missing] = {
    29: Missing("all of it", "there are no quotas yet"),
    38: Missing("archive members, links in archives", "there are no archives yet"),
    39: Missing("all of it", "nothing reads XML yet"),
    50: Missing("all of it", "there are no webhooks and no page tests yet"),
    51: Missing("all of it", "there are no backups yet"),
}
