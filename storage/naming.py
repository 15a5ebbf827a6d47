"""What files may be called and what they may be."""

from __future__ import annotations

import re
import unicodedata

from django.conf import settings

from odavl.wire.errors import UnsupportedMedia

MAX_NAME_BYTES = 200
_LONGEST_ENDING = 20
"""In bytes, without its dot; what is longer is no ending."""
CONTENT_TYPES: frozenset[str] = frozenset(
    {
        "application/gzip",
        "application/json",
        "application/octet-stream",
        "application/pdf",
        "application/sarif+json",
        "application/x-ndjson",
        "application/x-tar",
        "application/xml",
        "application/zip",
        "application/zstd",
        "image/avif",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/html",
        "text/markdown",
        "text/plain",
        "text/xml",
        "video/mp4",
        "video/webm",
    }
)
"""No SVG and no script: what a browser would run has no business here. HTML (reports) is always
given as an attachment, in a sandbox."""

_UNSAFE = re.compile(r'[<>:"|?*%]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
_CONTROL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe_name(name: str) -> str:
    """``name`` as every file system, terminal and header takes it; ``file`` if nothing is left.

    Folders and drives go, and so do control and bidirectional characters; the ending stays where
    the name is too long.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    visible = "".join(c for c in last if unicodedata.category(c) not in _CONTROL)
    text = _UNSAFE.sub("_", visible).strip(" .")
    stem, dot, ending = text.rpartition(".")
    if _RESERVED.fullmatch(text.partition(".")[0]):
        stem = f"_{stem}" if dot else stem
        text = f"_{text}"
    if len(text.encode()) > MAX_NAME_BYTES:
        kept = f".{ending}" if dot and len(ending.encode()) <= _LONGEST_ENDING else ""
        text = _cut(stem if kept else text, MAX_NAME_BYTES - len(kept.encode())) + kept
    return text or "file"


def allowed_type(content_type: str) -> str:
    """The bare, lower-case type; :class:`UnsupportedMedia` for one that is not on the list."""
    bare = content_type.partition(";")[0].strip().lower()
    if bare not in CONTENT_TYPES and bare not in settings.STORAGE_CONTENT_TYPES:
        raise UnsupportedMedia(f"Files of the type {bare[:100]!r} are not kept.")
    return bare


def _cut(text: str, size: int) -> str:
    """The beginning of ``text`` that has at most ``size`` bytes, without half a character."""
    return text.encode()[:size].decode(errors="ignore").rstrip(" .")
