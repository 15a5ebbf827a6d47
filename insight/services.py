"""What people change about issues."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from accounts.principal import Principal
from accounts.services import record
from frame.database.timeouts import waiting_briefly
from insight.models import Issue, Triage, TriageEvent
from odavl.wire.errors import FieldError, InProgress, InvalidPayload

MAX_REASON_LENGTH = 1_000
_AUDITED_IDS = 100


@transaction.atomic
def triage_issues(*, issues: QuerySet[Issue], state: Triage, reason: str, by: Principal) -> int:
    """Note one decision about many issues of ``by``'s organization; how many it changed.

    Raises :class:`InvalidPayload` for a reason that is too long and :class:`InProgress` while a run
    that changes one of them is being ingested.
    """
    reason = reason.replace("\x00", "").strip()
    if len(reason) > MAX_REASON_LENGTH:
        raise InvalidPayload(
            f"A reason may have {MAX_REASON_LENGTH} characters.",
            errors=(FieldError("/reason", "too_long", "Too long."),),
        )
    own = issues.filter(stream__organization=by.organization).exclude(triage=state)
    # Locked in one order, so that two people who choose the same issues wait for each other.
    locked = own.order_by("pk").select_for_update(of=("self",))
    # A run that is being ingested holds what it changes until it is in, which may take minutes.
    busy = InProgress("A run that changes these issues is being taken in.", retry_after=5)
    with waiting_briefly(busy):
        changed = list(locked.values_list("pk", flat=True))
    if not changed:
        return 0
    Issue.across_organizations.filter(pk__in=changed).update(triage=state)
    TriageEvent.across_organizations.bulk_create(
        TriageEvent(issue_id=pk, triage=state, reason=reason, actor=by.user) for pk in changed
    )
    record(
        organization=by.organization,
        action="issue.triaged",
        by=by,
        details={"state": state, "reason": reason, "issues": changed[:_AUDITED_IDS]},
    )
    return len(changed)
