"""``odavl insight import``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from odavl.commands.insight.options import outcome_options
from odavl.commands.session import Session, hub_options, output_options, pass_session

if TYPE_CHECKING:
    from odavl.engines.insight.sarif_import import Source

STANDARD_INPUT = "-"
_GZIP = b"\x1f\x8b"


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@outcome_options
@hub_options
@output_options
@pass_session
def import_sarif(session: Session, /, files: tuple[str, ...], **outcome: Any) -> None:
    """Take in SARIF 2.1.0 of any other tool, as if a detector of that name had run.

    FILE may be gzipped, a pattern such as 'reports/*.sarif', or - for standard input. Several are
    one run.
    """
    from odavl.commands.insight.outcome import Outcome, conclude
    from odavl.engines.insight.sarif_import import read_sarif

    asked = Outcome(**outcome)
    asked.note_flags(session)
    names = list(_named(files))
    # Each log is held by nobody but the call, so that its memory is free for the next.
    imported = read_sarif((_source(name) for name in names), root=session.root)
    raise click.exceptions.Exit(
        conclude(session, imported.results, asked, left_out=imported.left_out)
    )


def _named(files: tuple[str, ...]) -> Iterator[str]:
    """Each file once, patterns replaced by what they match. Raises :class:`UsageError` for none."""
    from odavl.wire.errors import UsageError

    seen: set[str] = set()
    for name in files:
        found = [name]
        if name != STANDARD_INPUT and not Path(name).exists():
            found = _matching(name)
            if not found:
                raise UsageError(f"There is no file {name}.")
        for each in found:
            place = each if each == STANDARD_INPUT else str(Path(each).resolve())
            if place not in seen:
                seen.add(place)
                yield each


def _matching(pattern: str) -> list[str]:
    """What a pattern matches, sorted; nothing for what is none."""
    if not any(mark in pattern for mark in "*?["):
        return []
    anchor = Path(pattern).anchor
    return sorted(map(str, Path(anchor or ".").glob(pattern.removeprefix(anchor))))


def _source(name: str) -> Source:
    """One log. Raises :class:`RefusedError`, with the file's name, for what is none."""
    from odavl.engines.insight.readable import read_regular_file
    from odavl.engines.insight.sarif_import import Source
    from odavl.wire import limits
    from odavl.wire.encoding import gunzip
    from odavl.wire.errors import RefusedError
    from odavl.wire.sarif import decode_sarif

    def read(file: Path) -> bytes:
        content = read_regular_file(file, limit=limits.MAX_INFLATED_SIZE)
        return gunzip(content) if content.startswith(_GZIP) else content

    shown = "standard input" if name == STANDARD_INPUT else name
    try:
        content = _content(name)
        if content.startswith(_GZIP):
            content = gunzip(content)
        log = decode_sarif(content)
    except RefusedError as error:
        raise error.of(shown) from error
    folder = None if name == STANDARD_INPUT else Path(name).resolve().parent
    return Source(log, shown, folder, read)


def _content(name: str) -> bytes:
    from odavl.hub.transfer.encoding import check_size, read_regular_file
    from odavl.wire import limits

    if name != STANDARD_INPUT:
        return read_regular_file(Path(name))
    content = sys.stdin.buffer.read(limits.MAX_INFLATED_SIZE + 1)
    check_size(len(content))
    return content
