"""What is known about the request being answered, for logs and the audit log.

Set by the outermost middleware; outside of a request (a worker, a command) it is empty.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestContext:
    request_id: str = "-"
    ip_address: str | None = None
    clock_ahead: int = 0
    """Seconds by which the client's clock is ahead of ours, where it told its time."""


_NONE = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("request_context", default=_NONE)


def current_request() -> RequestContext:
    """The context of the request being answered; an empty one outside of requests."""
    return _current.get()


def enter_request(context: RequestContext) -> Token[RequestContext]:
    """Make ``context`` the current one; give the token to :func:`leave_request` afterwards."""
    return _current.set(context)


def leave_request(token: Token[RequestContext]) -> None:
    _current.reset(token)
