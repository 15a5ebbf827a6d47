"""The name under which a browser saves a download."""

from __future__ import annotations

from urllib.parse import quote


def attachment(file_name: str) -> str:
    """``Content-Disposition`` for any name (RFC 6266 with RFC 8187)."""
    plain = "".join(
        character if character.isascii() and character.isprintable() and character not in '"\\%'
        else "_"
        for character in file_name
    )  # fmt: skip
    header = f'attachment; filename="{plain}"'
    return header if plain == file_name else f"{header}; filename*=UTF-8''{quote(file_name, '')}"
