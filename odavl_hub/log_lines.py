"""Log lines as they are written, without what would let their reader into something.

Signed addresses are keys for an hour, links of mail for days. They stand in the paths of
requests, in messages of the object stores' own libraries and in tracebacks; so what is redacted is
the finished line, whoever wrote it.
"""

from __future__ import annotations

import logging
import re

from storage.signed_path import SIGNED_PATH

_SECRETS = re.compile(
    # The hub's own tickets, of which the first characters are left to tell them apart; the
    # signatures of S3 and Azure; API keys, of which the kind is left.
    rf"(?P<ticket>{re.escape(SIGNED_PATH)}[\w%.-]{{0,12}})[\w%.~-]*"
    r"|(?P<query>\b(?:Signature|X-Amz-Security-Token|sig)=)[^&\s\"'<>]+"
    r"|(?P<key>\bodavl_[a-z]+_)[0-9A-Za-z]{20,}"
    # Links of mail, which stand in the paths of requests, and cookies.
    r"|(?P<link>/(?:password/reset/key|confirm-email)/)[^\s\"'<>?]+"
    r"|(?P<cookie>\b(?:sessionid|csrftoken|odavl_device)=)[^;,\s\"']+",
    re.IGNORECASE,
)


def redacted(line: str) -> str:
    """``line`` with ``…`` in place of signatures, keys, links of mail and cookies."""
    return _SECRETS.sub(lambda found: f"{found[found.lastgroup or 0]}…", line)


class RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))
