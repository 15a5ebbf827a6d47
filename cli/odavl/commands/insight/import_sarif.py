"""``odavl insight import``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from odavl.commands.insight.options import outcome_options
from odavl.commands.session import Session, hub_options, output_options, pass_session


@click.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@outcome_options
@hub_options
@output_options
@pass_session
def import_sarif(session: Session, /, file: Path, **outcome: Any) -> None:
    """Take in FILE, SARIF 2.1.0 of any other tool, as if a detector of that name had run."""
    from odavl.commands.insight.outcome import Outcome, conclude
    from odavl.engines.insight.sarif_import import results_from_sarif
    from odavl.hub.transfer.encoding import read_regular_file
    from odavl.wire.encoding import decode_json
    from odavl.wire.sarif import SARIF_DECODER

    asked = Outcome(**outcome)
    asked.note_flags(session)
    # The log is held by nobody but the call, so that its memory is free for the upload.
    results = results_from_sarif(
        decode_json(read_regular_file(file), SARIF_DECODER), root=session.root
    )
    raise click.exceptions.Exit(conclude(session, results, asked))
