"""``odavl doctor``: what works here, what does not, and the command that mends it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import click

from odavl.commands.session import Session, hub_options, output_options, pass_session
from odavl.commands.terminal import plural, printable
from odavl.wire.errors import HeldError, OdavlError

OLDEST_PYTHON = (3, 11)
_MARKS = {"ok": "ok  ", "warning": "note", "failed": "FAIL"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding. ``fix`` is the command that mends it."""

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    fix: str = ""
    exit_code: int = 0


@click.command()
@hub_options
@output_options
@pass_session
def doctor(session: Session) -> None:
    """Check system, Python, Git, configuration, detectors, the hub, the sign-in and the queue."""
    checks: list[Check] = []
    for examine in (_system, _python, _git, _configuration, _detectors, _hub, _queue):
        checks += _examined(examine, session)
    if session.json:
        session.emit({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            _show(session, check)
    raise click.exceptions.Exit(max(check.exit_code for check in checks))


def _examined(examine: Callable[[Session], list[Check]], session: Session) -> list[Check]:
    try:
        return examine(session)
    except OdavlError as error:
        name = examine.__name__.strip("_")
        return [
            Check(
                name=name,
                status="failed",
                detail=error.detail,
                fix=error.hint,
                exit_code=error.exit_code,
            )
        ]


def _show(session: Session, check: Check) -> None:
    color = {"ok": "green", "warning": "yellow", "failed": "red"}[check.status]
    mark = click.style(_MARKS[check.status], fg=color)
    session.show(f"{mark}  {check.name:14} {printable(check.detail)}")
    if check.fix:
        session.show(f"{'':21}{printable(check.fix)}")


def _system(_session: Session) -> list[Check]:
    """Windows itself is turned away before any command; below WSL it is Linux."""
    told = f"{platform.system()} {platform.release()}"
    in_wsl = "microsoft" in platform.release().lower()
    detail = f"{told} (WSL: keep projects and home in its own file system)" if in_wsl else told
    return [Check(name="system", status="ok", detail=detail)]


def _python(_session: Session) -> list[Check]:
    fits = sys.version_info >= OLDEST_PYTHON
    return [
        Check(
            name="python",
            status="ok" if fits else "failed",
            detail=platform.python_version(),
            fix="" if fits else "Install Python 3.11 or later.",
            exit_code=0 if fits else 2,
        )
    ]


def _git(session: Session) -> list[Check]:
    from odavl.project.git import git_facts

    if shutil.which("git") is None:
        fix = "Install git: runs then know their branch and commit."
        return [Check(name="git", status="warning", detail="not installed", fix=fix)]
    facts = git_facts(session.root)
    if facts.commit is None and facts.branch is None:
        return [Check(name="git", status="warning", detail=f"{session.root} is in no repository")]
    told = f"branch {facts.branch or 'unknown (detached)'}, remote {facts.remote or 'none'}"
    return [Check(name="git", status="ok", detail=told)]


def _configuration(session: Session) -> list[Check]:
    settings = session.settings
    told = ", ".join(f"{key} from {origin}" for key, origin in settings.sources.items())
    detail = f"{session.root}: {told or 'nothing set, defaults hold'}"
    return [Check(name="configuration", status="ok", detail=detail)]


def _detectors(session: Session) -> list[Check]:
    from odavl.engines.insight.analyze import list_detectors

    checks = []
    for found in list_detectors(session.root):
        told = found.version if found.installed else "not installed, so it will not run"
        checks.append(
            Check(
                name=found.name,
                status="ok" if found.installed else "warning",
                detail=told,
                fix="" if found.installed else found.install,
            )
        )
    return checks


def _hub(session: Session) -> list[Check]:
    from odavl.hub import account
    from odavl.hub.retry import ONCE

    if session.known_address is None and session.settings.api_key is None:
        fix = "odavl login --token - --hub URL (without a hub, analysis works on this machine)"
        return [Check(name="hub", status="warning", detail="no hub is known", fix=fix)]
    if session.access.refusal is not None:
        raise session.access.refusal
    if session.access.token is None:
        detail = f"nobody is signed in to {session.address}"
        return [Check(name="hub", status="warning", detail=detail, fix="odavl login --token -")]
    try:
        with session.client(policy=ONCE, leaves_queue=True) as client:
            who = account.whoami(client)
    except HeldError as error:
        return [
            Check(
                name="hub",
                status="failed",
                detail=f"{session.address} answers; {error.detail}",
                fix="odavl login --token -",
                exit_code=error.exit_code,
            )
        ]
    name = who.user.email if who.user else "a key for machines"
    detail = f"{session.address}, signed in as {name} in {who.organization.name}"
    return [Check(name="hub", status="ok", detail=detail)]


def _queue(session: Session) -> list[Check]:
    from odavl.hub.queue.store import UploadQueue

    content = UploadQueue(session.home).content()
    if aside := len(content.quarantined) + len(content.newer):
        detail = f"{plural(aside, 'item')} cannot be read"
        return [Check(name="queue", status="warning", detail=detail, fix="odavl sync queue")]
    if content.items:
        detail = f"{plural(len(content.items), 'upload')} waiting"
        fix = "odavl sync process-queue"
        return [Check(name="queue", status="warning", detail=detail, fix=fix)]
    return [Check(name="queue", status="ok", detail="empty")]
