"""The audit log: written where the thing is done, in the same transaction."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address

from accounts.models import AuditEvent, Organization, User
from accounts.principal import Principal
from frame.request_context import current_request


def record(
    *,
    organization: Organization,
    action: str,
    target: str = "",
    by: Principal | None = None,
    actor: User | None = None,
    details: dict[str, object] | None = None,
) -> AuditEvent:
    """Note that ``by`` (or ``actor``, where a person acts without a principal) did ``action``.

    ``action`` reads ``<thing>.<past participle>``; ``target`` names the thing in words. The address
    and the request id come from the request being answered.
    """
    request = current_request()
    event: AuditEvent = AuditEvent.objects.for_organization(organization).create(
        organization=organization,
        actor_id=by.user_id if by else actor.pk if actor else None,
        actor_key=by.key if by else None,
        action=action,
        target=target[:200],
        details=details or {},
        ip_address=_address(request.ip_address),
        request_id=request.request_id.strip("-"),
    )
    return event


def delete_old_events(*, older_than: datetime, at_most: int = 1_000) -> int:
    """Drop what was noted before ``older_than``, for all organizations; how many events went."""
    old = AuditEvent.across_organizations.filter(created_at__lt=older_than).order_by()
    count, _ = AuditEvent.across_organizations.filter(
        pk__in=list(old.values_list("pk", flat=True)[:at_most])
    ).delete()
    return count


def _address(text: str | None) -> str | None:
    """None for what is no IP address: a server behind a Unix socket knows none."""
    try:
        return str(ip_address(text)) if text else None
    except ValueError:
        return None
