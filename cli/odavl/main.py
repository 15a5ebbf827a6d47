"""``odavl``: the lazy command group, and the one place where errors become messages and codes.

Exit codes: 0 clean, 1 findings at or above ``--fail-on``, or conflicts to settle, 2 wrong usage or
an internal error, 3 done but not uploaded (it is queued), or the hub is away, 4 held, 5 refused by
the hub for good; 130 interrupted, 141 when the reader of the output went away.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, TextIO

import click

from odavl import __version__
from odavl.commands.lazy import LazyCommand, LazyGroup, help_alone
from odavl.commands.session import Session, output_options

if TYPE_CHECKING:
    from odavl.wire.errors import OdavlError

INTERRUPTED = 130
OUTPUT_CLOSED = 141
NOT_SUPPORTED = frozenset({"win32", "cygwin"})
COMPLETE_VARIABLE = "_ODAVL_COMPLETE"

COMMANDS = {
    "login": LazyCommand("odavl.commands.login:login", "Sign in to a hub."),
    "logout": LazyCommand("odavl.commands.logout:logout", "Forget the sign-in to a hub."),
    "whoami": LazyCommand("odavl.commands.whoami:whoami", "Show who is signed in, and where."),
    "projects": LazyCommand("odavl.commands.projects:projects", "List the hub's projects."),
    "link": LazyCommand("odavl.commands.link:link", "Tie this folder to a project of the hub."),
    "unlink": LazyCommand("odavl.commands.link:unlink", "Undo that tie."),
    "insight": LazyCommand(
        "odavl.commands.insight:insight", "Analyse code, import and upload findings."
    ),
    "autopilot": LazyCommand(
        "odavl.commands.autopilot:autopilot", "Send what recipes changed to the hub."
    ),
    "guardian": LazyCommand(
        "odavl.commands.guardian:guardian", "Send what was found on web pages to the hub."
    ),
    "sync": LazyCommand(
        "odavl.commands.sync:sync", "The offline queue, the hub's jobs, and .odavl/ elsewhere."
    ),
    "keys": LazyCommand("odavl.commands.keys:keys", "Create, list and revoke API keys."),
    "doctor": LazyCommand("odavl.commands.doctor:doctor", "Check what works here, and mend it."),
    "completion": LazyCommand(
        "odavl.commands.completion:completion", "Print a shell's completion script."
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@output_options
@click.version_option(__version__, prog_name="odavl", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Find, fix and follow what is wrong in code, and keep every run on a hub of your own."""
    help_alone(context)


def main() -> None:
    """The entry point of the command ``odavl``."""
    _end_as_by_ctrl_c()
    sys.exit(run(sys.argv[1:]))


def _end_as_by_ctrl_c() -> None:
    """Have every wish to end queue and end what Ctrl-C does.

    A pipeline that is cancelled sends SIGTERM, a terminal that is closed SIGHUP. A script's ``&``
    starts us with SIGINT ignored; whoever sends it all the same means it. ``nohup`` is a wish to
    outlive the terminal, and is granted.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
            continue
        signal.signal(number, signal.default_int_handler)


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code. Every error ends here, as one line."""
    for stream in (sys.stdout, sys.stderr):
        _make_forgiving(stream)
    session = Session()
    # An error in the options comes before they are read, and must speak JSON as well.
    session.json = "--json" in arguments
    if sys.platform in NOT_SUPPORTED:
        return _report_error(_not_supported(), session)
    try:
        code = _invoked(arguments, session)
        sys.stdout.flush()
        if session.reached_hub:
            from odavl.commands.passing import send_what_waits

            send_what_waits(session)
    except BrokenPipeError:
        return _output_closed()
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one boundary
        return _report_error(error, session)
    return code


def _not_supported() -> OdavlError:
    """What keys and the queue stand on (modes, locks, links not followed) is not there."""
    from odavl.wire.errors import UsageError

    return UsageError(
        "odavl runs on Linux and macOS, not on Windows itself.",
        hint="Run it in the Windows Subsystem for Linux: wsl --install, then install odavl there.",
    )


def _invoked(arguments: list[str], session: Session) -> int:
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "odavl", COMPLETE_VARIABLE, instruction)
    color = False if os.environ.get("NO_COLOR") else None
    try:
        with cli.make_context("odavl", arguments, obj=session, color=color) as context:
            cli.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return 0


def _report_error(error: Exception, session: Session) -> int:
    """Tell ``error`` on standard error, for machines on standard output too; the exit code."""
    from odavl.wire.errors import OdavlError

    try:
        known = error if isinstance(error, OdavlError) else _translated(error)
        if session.verbose:
            _show_traceback(error)
        session.warn(f"Error: {_one_line(known)}")
        if session.json:
            session.emit(_document(known))
        sys.stdout.flush()
    except BrokenPipeError:
        return _output_closed()
    return known.exit_code


def _translated(error: Exception) -> OdavlError:
    from odavl.wire.errors import InternalError, LocalStorageFailed, UsageError

    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "odavl"
        return UsageError(error.format_message(), hint=f"See: {path} --help")
    if isinstance(error, OSError) and error.filename is not None:
        return LocalStorageFailed(f"{os.fsdecode(error.filename)}: {error.strerror}.")
    return InternalError(
        f"A defect in odavl: {type(error).__name__}: {error}.", hint="Run it with -v for details."
    )


def _one_line(error: OdavlError) -> str:
    """What happened, then what to do next."""
    places = "; ".join(f"{place.pointer or '/'}: {place.detail}" for place in error.errors[:3])
    parts = [error.detail.rstrip(), f"({places})" if places else "", error.hint]
    return " ".join(" ".join(part.split()) for part in parts if part)


def _document(error: OdavlError) -> dict[str, object]:
    from msgspec import to_builtins

    from odavl.wire.problem import problem_of

    document: dict[str, object] = to_builtins(problem_of(error))
    return {**document, "hint": error.hint, "exitCode": error.exit_code}


def _show_traceback(error: Exception) -> None:
    import traceback

    from odavl.commands.terminal import printable

    text = "".join(traceback.format_exception(error))
    click.echo(printable(text, lines=True).rstrip(), err=True)


def _make_forgiving(stream: TextIO) -> None:
    """A terminal that cannot show a character gets its escape, not an exception."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _output_closed() -> int:
    """The reader went away (``| head``): nothing to tell, and nothing more to write at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    return OUTPUT_CLOSED


if __name__ == "__main__":
    main()
