"""``odavl insight analyze``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from odavl.commands.insight.options import outcome_options
from odavl.commands.session import Session, hub_options, output_options, pass_session
from odavl.commands.terminal import ProgressLine
from odavl.wire.errors import UsageError

if TYPE_CHECKING:
    from odavl.engines.insight.analyze import DetectorProgress
    from odavl.wire.analysis import AnalysisResults


def _note_timeout(ctx: click.Context, _param: click.Parameter, seconds: int | None) -> None:
    ctx.ensure_object(Session).flags["detector_timeout"] = seconds


@click.command()
@click.argument("path", default=".", type=click.Path(exists=True, path_type=Path))
@click.option("--detectors", metavar="A,B", help="Only these; odavl insight detectors lists them.")
@click.option(
    "--changed",
    is_flag=False,
    flag_value="HEAD",
    metavar="[=REF]",
    help="Only the files that differ from the last commit, or from where REF was left.",
)
@click.option(
    "--timeout",
    type=int,
    metavar="SECONDS",
    expose_value=False,
    callback=_note_timeout,
    help="What each detector may take (600); one that takes longer has failed.",
)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="As in a .gitignore; repeatable.")
@outcome_options
@hub_options
@output_options
@pass_session
def analyze(
    session: Session,
    /,
    path: Path,
    detectors: str | None,
    changed: str | None,
    exclude: tuple[str, ...],
    **outcome: Any,
) -> None:
    """Run the detectors over PATH (this folder by default), side by side.

    Findings are printed and kept in .odavl/problems-panel-export.json; --upload sends them to the
    hub. Findings alone leave the exit code at 0, unless --fail-on says else.
    """
    from odavl.commands.insight.outcome import Outcome, conclude

    session.start = path
    session.flags["detectors"] = _names(detectors)
    session.flags["exclude"] = exclude or None
    asked = Outcome(**outcome)
    asked.note_flags(session)
    results = _run(session, _chosen_files(session, path, changed))
    raise click.exceptions.Exit(conclude(session, results, asked))


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError("--detectors names none.", hint="See: odavl insight detectors")
    return names


def _chosen_files(session: Session, path: Path, changed: str | None) -> list[str] | None:
    """Paths relative to the root, gone ones included; None for the whole project."""
    root = session.root
    below = path.resolve().relative_to(root).as_posix()
    if changed is None:
        return None if below == "." else [below]
    from odavl.project.git import changed_files

    found = changed_files(root, changed)
    inside = [*found.present, *found.gone]
    if below == ".":
        return inside
    return [name for name in inside if name == below or name.startswith(f"{below}/")]


def _run(session: Session, files: list[str] | None) -> AnalysisResults:
    from odavl.engines.insight.analyze import analyze as run_detectors

    settings = session.settings
    with ProgressLine(shown=session.talks) as line:
        running: dict[str, None] = {}

        def show(progress: DetectorProgress) -> None:
            if progress.state == "running":
                running[progress.detector] = None
            else:
                running.pop(progress.detector, None)
            line.tell(f"analysing: {', '.join(running)}", progress.finished / progress.total)

        return run_detectors(
            session.root,
            detectors=settings.detectors,
            files=files,
            exclude=settings.exclude,
            on_progress=show,
            timeout=settings.detector_timeout,
        )
