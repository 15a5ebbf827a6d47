"""Compiles a gettext catalogue: ``compile_messages.py messages.po messages.mo``.

GNU msgfmt is not on every machine, and `make run` must need nothing but Python. The formats are
those of the GNU gettext manual, "The Format of PO Files" and "The Format of GNU MO Files".
"""

from __future__ import annotations

import ast
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_MAGIC = 0x950412DE
_HEADER = struct.Struct("<7I")
_ENTRY = struct.Struct("<2I")
_KEYWORD = re.compile(r'(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d+)\])?\s+(".*")$')


@dataclass
class Message:
    context: str | None = None
    singular: str = ""
    plural: str | None = None
    translations: dict[int, str] = field(default_factory=dict)
    fuzzy: bool = False

    @property
    def key(self) -> bytes:
        text = self.singular if self.plural is None else f"{self.singular}\0{self.plural}"
        return (text if self.context is None else f"{self.context}\4{text}").encode()

    @property
    def value(self) -> bytes:
        return "\0".join(self.translations[index] for index in sorted(self.translations)).encode()


def read_messages(source: str) -> Iterator[Message]:
    """The messages of a PO file. Raises :class:`ValueError` with the line that cannot be read."""
    message, part, index = Message(), "", 0
    for number, raw in enumerate(source.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            if message.translations:
                yield message
                message, part = Message(), ""
            if line.startswith("#,") and "fuzzy" in line:
                message.fuzzy = True
            continue
        found = _KEYWORD.fullmatch(line)
        if found is not None:
            if found[1] in {"msgctxt", "msgid"} and message.translations:
                yield message
                message = Message()
            part, index = found[1], int(found[2] or 0)
            text = found[3]
        elif line.startswith('"') and part:
            text = line
        else:
            raise ValueError(f"line {number} is no part of a message: {line}")
        _add(message, part, index, ast.literal_eval(text))
    if message.translations:
        yield message


def _add(message: Message, part: str, index: int, text: str) -> None:
    match part:
        case "msgctxt":
            message.context = (message.context or "") + text
        case "msgid":
            message.singular += text
        case "msgid_plural":
            message.plural = (message.plural or "") + text
        case _:
            message.translations[index] = message.translations.get(index, "") + text


def compiled(messages: Iterator[Message]) -> bytes:
    """An MO file of what is translated; fuzzy guesses are left out."""
    entries = sorted(
        (message.key, message.value)
        for message in messages
        if all(message.translations.values()) and (not message.fuzzy or not message.key)
    )
    offset = _HEADER.size + 2 * _ENTRY.size * len(entries)
    tables, texts = [b"", b""], b""
    for column in (0, 1):
        for entry in entries:
            tables[column] += _ENTRY.pack(len(entry[column]), offset + len(texts))
            texts += entry[column] + b"\0"
    size = _ENTRY.size * len(entries)
    header = _HEADER.pack(_MAGIC, 0, len(entries), _HEADER.size, _HEADER.size + size, 0, 0)
    return header + tables[0] + tables[1] + texts


def main() -> int:
    source, target = map(Path, sys.argv[1:])
    try:
        content = compiled(read_messages(source.read_text(encoding="utf-8")))
    except (ValueError, SyntaxError) as error:
        sys.stderr.write(f"{source}: {error}\n")
        return 1
    target.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
