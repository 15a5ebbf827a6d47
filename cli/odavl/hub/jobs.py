"""The hub's jobs: the calls behind ``odavl sync jobs``."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from odavl.hub.transport import HubClient
from odavl.wire.jobs import JobAction, JobCommand, JobPage, JobSummary

_PAGE = msgspec.json.Decoder(JobPage)
_JOB = msgspec.json.Decoder(JobSummary)


def jobs(
    client: HubClient, *, states: Sequence[str] = (), project: str | None = None, limit: int = 20
) -> JobPage:
    """The latest ``limit`` jobs; ``project`` is an id or slug, None for every project."""
    query = {"limit": str(limit)}
    if states:
        query["state"] = ",".join(states)
    if project:
        query["project"] = project
    return client.get("/sync/jobs", query).decode(_PAGE)


def act(client: HubClient, action: JobAction, job_id: str) -> JobSummary:
    """Retry, cancel, pause or resume. Raises :class:`~odavl.wire.errors.Conflict`."""
    command = JobCommand(action=action, job_id=job_id)
    return client.send_json("POST", "/sync/jobs", command).decode(_JOB)
