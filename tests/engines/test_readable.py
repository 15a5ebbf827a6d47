"""What can be read without harm, and what a tool had better not meet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odavl.engines.insight.files import select_files
from odavl.engines.insight.readable import has_longer_line, holds_traps, read_regular_file


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 30), max_size=12),
    ends_in_newline=st.booleans(),
    limit=st.integers(1, 25),
)
def test_a_longer_line_is_found_wherever_the_pieces_end(
    tmp_path: Path, lengths: list[int], limit: int, *, ends_in_newline: bool
) -> None:
    file = tmp_path / "lines"
    text = b"\n".join(b"x" * length for length in lengths)
    file.write_bytes(text + b"\n" * ends_in_newline)
    assert has_longer_line(file, limit) == any(length > limit for length in lengths)


def test_what_is_no_regular_file_or_too_large_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "large").write_bytes(b"x" * 11)
    for name in ("fifo", "device", "large", "none", "."):
        with pytest.raises(OSError, match=r"regular|larger|No such|directory"):
            read_regular_file(tmp_path / name, limit=10)
    assert read_regular_file(tmp_path / "large", limit=11) == b"x" * 11


@pytest.mark.parametrize(
    ("make", "is_trap"),
    [
        (lambda path: path.write_text("x"), False),
        (os.mkfifo, True),
        (lambda path: path.symlink_to("/dev/zero"), True),
        (lambda path: path.symlink_to("/etc/passwd"), True),
        (lambda path: path.symlink_to("nowhere"), False),
        (lambda path: path.symlink_to("."), False),
        (lambda path: path.symlink_to(path.name), False),
    ],
    ids=["file", "fifo", "device", "link that leads out", "dangling", "folder", "loop"],
)
def test_traps_are_found_below_folders_that_are_searched(tmp_path: Path, make, is_trap) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    make(tmp_path / "deep" / "er" / "x.py")
    assert holds_traps(tmp_path, frozenset()) == is_trap
    assert not holds_traps(tmp_path, frozenset({"er"}))


def test_of_a_run_on_some_files_only_theirs_are_told(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    os.mkfifo(tmp_path / "src" / "a.py")
    os.mkfifo(tmp_path / "b.py")

    def told(*files: str, exclude: tuple[str, ...] = ()) -> list[str]:
        chosen = select_files(tmp_path, files=list(files) or None, exclude=exclude)
        return [each.path for each in chosen.unread]

    assert told() == ["b.py", "src/a.py"]
    assert told("src") == told("src/a.py") == ["src/a.py"]
    assert told(".") == ["b.py", "src/a.py"]
    assert told(exclude=("src/",)) == ["b.py"]


def test_a_path_that_the_wire_does_not_carry_is_told(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d" * 200] * 5)
    folder.mkdir(parents=True)
    (folder / ("x" * 20 + ".py")).touch()
    (told,) = select_files(tmp_path).unread
    assert told.reason == "its path has more than 1024 characters"
