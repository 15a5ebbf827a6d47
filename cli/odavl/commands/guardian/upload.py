"""``odavl guardian upload``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from odavl.commands.run_options import run_upload_options
from odavl.commands.session import Session, hub_options, output_options, pass_session


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@run_upload_options("guardian")
@hub_options
@output_options
@pass_session
def upload(session: Session, /, files: tuple[Path, ...], **asked: Any) -> None:
    """Send a test: its results, and in silence its screenshots and reports.

    Without FILE that is the newest test under .odavl/guardian. What cannot be sent is queued.
    """
    from odavl.commands.run_upload import Asked, send

    raise click.exceptions.Exit(send(session, "guardian", Asked(files=files, **asked)))
