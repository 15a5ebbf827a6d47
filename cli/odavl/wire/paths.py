"""Paths inside of a project, as they travel."""

from __future__ import annotations

from odavl.wire import limits
from odavl.wire.encoding import VISIBLE_NUL
from odavl.wire.errors import FieldError, InvalidPayload


def clean_path(path: str, pointer: str) -> str:
    """``path`` as it is kept: relative, with ``/``, without ``.`` steps.

    Raises :class:`InvalidPayload` that points at ``pointer`` for one that leaves the project or
    that no database can hold: shortening or dropping it would mix up two files.
    """
    cleaned = path.replace("\x00", VISIBLE_NUL).replace("\\", "/")
    parts = [part for part in cleaned.split("/") if part not in ("", ".")]
    outside = cleaned.startswith("/") or ".." in parts or (parts and _is_drive(parts[0]))
    if outside or not parts or len(cleaned) > limits.MAX_PATH_LENGTH:
        raise InvalidPayload(
            "A path does not fit: it must be relative to the project's root, stay inside it and "
            f"have at most {limits.MAX_PATH_LENGTH} characters.",
            errors=(FieldError(pointer, "invalid_path", "Not a path inside."),),
        )
    return "/".join(parts)


def _is_drive(part: str) -> bool:
    return part[1:] == ":" and part[0].isalpha()
