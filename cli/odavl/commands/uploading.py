"""What every command that uploads shares: whereto, and what is said about it."""

from __future__ import annotations

from odavl.commands.session import Session
from odavl.hub.uploads import ProjectName, UploadResult
from odavl.project.link import read_link
from odavl.wire.errors import InternalError, NotAuthenticated


def no_hub(session: Session) -> NotAuthenticated | None:
    """The error where nothing can be sent, nor queued: no hub, or one that only a project names."""
    if session.access.refusal is not None:
        return session.access.refusal
    if session.known_address is not None or session.settings.api_key is not None:
        return None
    return NotAuthenticated(
        "No hub is known, so nothing was sent or queued.",
        hint="Run: odavl login --token - --hub URL",
    )


def chosen_project(session: Session) -> ProjectName:
    """The project by flag, setting or link."""
    settings = session.settings
    link = read_link(session.root)
    linked = link.projectId if link and link.hub == session.address else None
    # A name given closer than the id (a flag over a file) must not be overruled by it.
    named_by_flag = session.flags.get("project") is not None
    project_id = None if named_by_flag else settings.project_id or linked
    return ProjectName(id=project_id, name=None if project_id else settings.project)


def failure_line(sent: UploadResult) -> str:
    """What stands against an upload, and what happens next."""
    error = sent.error or InternalError()
    told = f"{error.detail.rstrip()} {error.hint}".strip()
    if sent.state == "refused":
        return f"Not uploaded, the hub refuses it: {told}"
    if not sent.queued:
        return f"Not uploaded: {told}"
    send = "odavl sync process-queue sends it; so does the next command that reaches the hub."
    return f"Not uploaded, but queued: {told} Then: {send}"
