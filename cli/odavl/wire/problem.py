"""RFC 9457 problem documents: how an error travels, and how it is rebuilt."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from odavl.wire import errors as tree
from odavl.wire.errors import FieldError, OdavlError

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:odavl:problem:"


class Problem(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The body of every error answer."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()
    upgrade_url: str = ""
    missing: tuple[str, ...] = ()
    """With ``chunks_missing``: the names of the chunks."""


_DECODER = msgspec.json.Decoder(Problem)
_GROUPS = (
    OdavlError,
    tree.TransientError,
    tree.RenewableError,
    tree.HeldError,
    tree.RefusedError,
    tree.InternalError,
)


def problem_of(error: OdavlError, request_id: str = "") -> Problem:
    """The document that tells ``error``."""
    return Problem(
        type=TYPE_PREFIX + error.code,
        title=error.title,
        status=int(error.status),
        detail=error.detail,
        code=error.code,
        retryable=error.retryable,
        request_id=request_id or error.request_id,
        errors=error.errors,
        missing=error.missing if isinstance(error, tree.ChunksMissing) else (),
    )


def decode_problem(body: bytes) -> Problem | None:
    """The problem in ``body``, or None where it is something else (a proxy's page, say)."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def rebuild_error(problem: Problem, *, retry_after: float | None = None) -> OdavlError:
    """The error that the hub raised; an unknown code becomes the class that fits its status."""
    error_class = _class_by_code().get(problem.code) or class_for_status(problem.status)
    told: dict[str, Any] = (
        {"missing": problem.missing} if issubclass(error_class, tree.ChunksMissing) else {}
    )
    return error_class(
        problem.detail,
        errors=problem.errors,
        retry_after=retry_after,
        request_id=problem.request_id,
        **told,
    )


def class_for_status(status: int) -> type[OdavlError]:
    """What an HTTP status means when no known code came with it."""
    by_status: dict[int, type[OdavlError]] = {
        HTTPStatus.UNAUTHORIZED: tree.NotAuthenticated,
        HTTPStatus.FORBIDDEN: tree.PermissionRefused,
        HTTPStatus.NOT_FOUND: tree.NotFound,
        HTTPStatus.REQUEST_TIMEOUT: tree.RequestTimeout,
        HTTPStatus.CONFLICT: tree.Conflict,
        HTTPStatus.GONE: tree.TransferExpired,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: tree.PayloadTooLarge,
        HTTPStatus.UNPROCESSABLE_ENTITY: tree.InvalidPayload,
        HTTPStatus.TOO_MANY_REQUESTS: tree.RateLimited,
        HTTPStatus.INSUFFICIENT_STORAGE: tree.StorageFull,
    }
    if status in by_status:
        return by_status[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return tree.ServiceUnavailable
    return tree.MalformedRequest


def _class_by_code() -> dict[str, type[OdavlError]]:
    # `internal_error` is a defect of ours on this side and a passing fault when a hub says it.
    found = {error.code: error for error in tree.every_error() if error not in _GROUPS}
    found[tree.ServerFault.code] = tree.ServerFault
    return found
