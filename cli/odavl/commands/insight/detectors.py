"""``odavl insight detectors``."""

from __future__ import annotations

import click

from odavl.commands.session import Session, output_options, pass_session
from odavl.commands.terminal import printable, table


@click.command()
@output_options
@pass_session
def detectors(session: Session) -> None:
    """Show which detectors are installed, and how to get those that are not."""
    import msgspec

    from odavl.engines.insight.analyze import list_detectors

    found = list_detectors(session.root)
    if session.json:
        session.emit({"items": msgspec.to_builtins(found)})
        return
    rows = [
        (each.name, each.version if each.installed else "not installed", ", ".join(each.categories))
        for each in found
    ]
    session.show(table(rows, ("DETECTOR", "VERSION", "LOOKS FOR")))
    missing = [each for each in found if not each.installed]
    if missing:
        session.show("\nTo install what is missing:")
    for each in missing:
        session.show(f"  {printable(each.name)}: {printable(each.install)}")
