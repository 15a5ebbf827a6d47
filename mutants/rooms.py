"""The table of rooms: which code, and where its tests are."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants.sources import source_files


@dataclass(frozen=True)
class Room:
    name: str
    code: tuple[str, ...]
    tests: tuple[str, ...]

    def files(self, root: Path) -> list[str]:
        return source_files(root, self.code)


def load(path: Path) -> dict[str, Room]:
    """The rooms by name, as ``rooms.toml`` has them."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: Room(name, tuple(room["code"]), tuple(room["tests"]))
        for name, room in table["rooms"].items()
    }


def suite(path: Path, rooms: Sequence[str]) -> list[str]:
    """What pytest is to collect: all, or the tests of ``rooms`` where some are named."""
    if rooms:
        table = load(path)
        return sorted({folder for name in rooms for folder in table[name].tests})
    return list(tomllib.loads(path.read_text(encoding="utf-8"))["suite"])
