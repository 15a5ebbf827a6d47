"""Mistakes that change nothing anybody could notice: each looked at, each with its reason."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mutants.sources import Mutation

_LEAST_WORDS = 4


@dataclass(frozen=True)
class Equivalent:
    """A change of one line of ``file``, told by its text so that it outlives other changes."""

    file: str
    before: str
    after: str
    reason: str

    def is_of(self, mutation: Mutation) -> bool:
        return (self.file, (self.before, self.after)) == (mutation.mutant.file, mutation.change)


def load(path: Path, root: Path) -> list[Equivalent]:
    """The list; ValueError for an entry without a reason, and for one whose line is gone."""
    if not path.exists():
        return []
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])
    found = [Equivalent(**entry) for entry in entries]
    for one in found:
        if len(one.reason.split()) < _LEAST_WORDS:
            raise ValueError(f"{path}: say why {one.before!r} may read {one.after!r}")
        source = root / one.file
        lines = source.read_text(encoding="utf-8").splitlines() if source.exists() else []
        if one.before.splitlines()[0] not in {line.strip() for line in lines}:
            raise ValueError(f"{path}: {one.file} has no line {one.before!r} any more: remove it")
    return found


def without(mutations: Iterable[Mutation], known: Iterable[Equivalent]) -> list[Mutation]:
    entries = list(known)
    return [one for one in mutations if not any(entry.is_of(one) for entry in entries)]
