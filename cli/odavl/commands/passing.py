"""What is queued goes out after a command that has just talked to the hub."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from odavl.commands.session import Session
from odavl.commands.terminal import plural

if TYPE_CHECKING:
    from odavl.hub.queue.sending import SentInPassing


def send_what_waits(session: Session) -> None:
    """Send what is due, for a few seconds; nothing that happens here is the command's failure.

    On a terminal the rest goes on in the background. In a pipeline it does not: a process that
    outlives its step is in the way of the next one, and a container ends it anyway. So a step that
    uploads takes longer there, as what is left behind may be lost with the machine.
    """
    from odavl.hub.queue.sending import Sender, send_in_background, send_in_passing

    try:
        token = session.access.token
        if token is None:
            return
        sender = Sender(
            home=session.home,
            address=session.address,
            token=token,
            organization_id=session.access.organization_id,
            new_rights=session.has_new_rights,
        )
        on_a_terminal = sys.stderr.isatty() and not os.environ.get("CI")
        sent = send_in_passing(sender, patient=session.has_uploaded and not on_a_terminal)
        goes_on = bool(sent.due and on_a_terminal)
        if goes_on:
            send_in_background(sender)
        for line in _lines(sent, goes_on=goes_on):
            session.say(line)
    except KeyboardInterrupt:
        session.say("Interrupted; what was not sent still waits.")
    except Exception as error:  # noqa: BLE001 - the command is done, and its exit code stands
        if session.verbose:
            session.say(f"What is queued was not sent: {error}")


def _lines(sent: SentInPassing, *, goes_on: bool) -> list[str]:
    lines = []
    if sent.sent:
        lines.append(f"Sent {plural(sent.sent, 'queued upload')}.")
    if sent.due and goes_on:
        lines.append(f"{plural(sent.due, 'more queued upload')} will go out in the background.")
    elif sent.due:
        lines.append(f"Still queued: {plural(sent.due, 'upload')}. Send: odavl sync process-queue")
    if sent.failed:
        lines.append(f"Not taken: {plural(sent.failed, 'queued upload')}. See: odavl sync queue")
    return lines
