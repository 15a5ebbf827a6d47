"""What a detector has to say of itself, and what it is given to work with.

A detector is one of other people's analysers. Its class says its name and categories, how to find
it and its version, which files it takes, how it is started and how its output reads. What all have
in common (time, output and environment bounds, ``.gitignore``, fingerprints, snippets) is done
around it, once.

Two rules hold for every detector. It executes no code of the project unless it says so in
``executes_project_code``: no plugins and no programs that the project's settings name. And its
numbers are those of the tool run by hand in the project's folder over the same files; each class
says what "by hand" is.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from odavl.engines.insight.files import relative_path
from odavl.engines.insight.readable import has_longer_line
from odavl.engines.running.processes import Command, Finished, ProgramFailed, last_words
from odavl.engines.running.programs import Program
from odavl.wire import limits
from odavl.wire.analysis import Diagnostic
from odavl.wire.encoding import visible

Decoded = TypeVar("Decoded")
_LONGEST_COMMAND_LINE = 24_000 if sys.platform == "win32" else 120_000
"""Characters of file names handed over at once, well below what the systems take."""
_LAST_WORDS_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Assignment:
    """One detector's share of a run.

    ``files`` are those that the detector takes, ``looked_at`` all that the run looks at, and
    ``all_files`` those of the whole project; ``whole`` says that these are the same. ``scratch`` is
    an empty folder of its own.
    """

    root: Path
    program: Program
    files: tuple[str, ...]
    looked_at: frozenset[str]
    all_files: tuple[str, ...]
    whole: bool
    scratch: Path

    def path_of(self, name: str) -> str | None:
        """A path as the tool writes it, seen from the root; None if this run looks elsewhere."""
        path = relative_path(self.root, name)
        return path if path in self.looked_at else None

    def portions(self) -> Iterator[tuple[str, ...]]:
        """The files, as many at once as fit on a command line, none of which reads as an option."""
        portion: list[str] = []
        size = 0
        for path in self.files:
            name = f"./{path}"
            size += len(name.encode()) + 1
            if portion and size > _LONGEST_COMMAND_LINE:
                yield tuple(portion)
                portion, size = [], len(name.encode()) + 1
            portion.append(name)
        if portion:
            yield tuple(portion)


@dataclass(slots=True)
class Reading:
    """What a tool's output says; ``detail`` tells of files that it could not look at."""

    diagnostics: dict[str, list[Diagnostic]] = field(default_factory=dict)
    detail: str = ""
    unread: dict[str, str] = field(default_factory=dict)
    """Why it could not look at a file, by path."""

    def add(self, path: str, found: Diagnostic) -> None:
        self.diagnostics.setdefault(path, []).append(found)


class Detector(ABC):
    """One analyser. Instances hold no state."""

    name: ClassVar[str]
    categories: ClassVar[tuple[str, ...]]
    install: ClassVar[str]
    """The command that installs it."""
    executes_project_code: ClassVar[bool] = False
    stands_in_for: ClassVar[str] = ""
    """The detector instead of which this one runs, where that is missing."""
    weight: ClassVar[int]
    """How long it takes compared with the others; the longest starts first."""

    unfit_name: ClassVar[re.Pattern[str] | None] = None
    """What in a file's name the tool takes for something else."""
    longest_line: ClassVar[int | None] = None
    """Bytes, whole mebibytes. With longer lines the tool takes more time than anybody has."""

    @abstractmethod
    def find(self, root: Path) -> Program | None:
        """The installed analyser for a project at ``root``, or None."""

    @abstractmethod
    def takes(self, path: str) -> bool:
        """Whether the file is one for this detector."""

    def refuses(self, path: str, root: Path) -> str:
        """Why the tool cannot be given this file of ``root``; empty where it can.

        One such file would cost the results of all others.
        """
        if self.unfit_name is not None and self.unfit_name.search(path):
            return f"{self.name} cannot be given a file of this name"
        if self.longest_line is not None and has_longer_line(root / path, self.longest_line):
            return f"it has a line of more than {self.longest_line // limits.MEBIBYTE} MiB"
        return ""

    @abstractmethod
    def commands(self, assignment: Assignment) -> Iterable[Command]:
        """The starts that together look at all of ``assignment.files``."""

    @abstractmethod
    def read(self, finished: Finished, assignment: Assignment) -> Reading:
        """The findings of one start. Raises :class:`ProgramFailed` if the output is none."""

    def failure(self, finished: Finished) -> str:
        """Why a start with an exit code outside of ``success`` failed, in one line."""
        end = bytes(finished.stdout[-_LAST_WORDS_SIZE:]).decode("utf-8", "replace")
        return last_words(finished.stderr) or last_words(end)


def decode_output(decoder: msgspec.json.Decoder[Decoded], output: bytes | bytearray) -> Decoded:
    """A tool's JSON. Raises :class:`ProgramFailed` if it is something else."""
    try:
        return decoder.decode(output)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProgramFailed(f"Its output could not be read: {error}.") from error


def position(number: int | None) -> int:
    """A line or column within the wire's bounds."""
    return min(max(number or 0, 0), limits.MAX_LINE_NUMBER)


def message_of(text: str) -> str:
    """A message within the wire's bounds, never empty."""
    return visible(text.strip())[: limits.MAX_MESSAGE_LENGTH] or "(no message)"


def is_one_line(path: str) -> bool:
    """Whether a tool that goes by lines takes the name for one, whatever it counts as an end."""
    return path.splitlines() == [path]


def has_suffix(path: str, suffixes: tuple[str, ...]) -> bool:
    """Whether the file's name ends in one of these, upper case included."""
    return path.lower().endswith(suffixes)
