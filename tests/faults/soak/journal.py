"""What each client was told, a line for each payload: the side of the story to hold the hub to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """``sha256`` and ``size`` (bytes) are those of what was sent, before gzip."""

    number: int
    sha256: str
    size: int
    way: str
    """``envelope``, ``raw`` or ``chunks``."""
    state: str
    code: str = ""
    """Of the error, where it was not stored at once."""
    upload_id: str | None = None
    run_id: str | None = None
    seconds: float = 0
    broken: str = ""
    """How the hub or the client broke its word there and then; empty where they kept it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What a client says last: what is left in its queue, and the answers by status."""

    left: list[str]
    answers: dict[str, int]
    peak_mebibytes: int


def write(file: Path, entry: Told | Ended) -> None:
    with file.open("a", encoding="utf-8") as writing:
        writing.write(json.dumps({type(entry).__name__: asdict(entry)}) + "\n")


def read(file: Path) -> tuple[list[Told], Ended | None]:
    """All whole lines so far; what comes last once it is there."""
    told: list[Told] = []
    ended = None
    if file.exists():
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            entry = json.loads(line)
            if "Told" in entry:
                told.append(Told(**entry["Told"]))
            else:
                ended = Ended(**entry["Ended"])
    return told, ended
