"""The one tree of errors, raised by the hub and rebuilt by the client.

::

    OdavlError
    ├── UsageError            exit 2   the command line or its configuration is wrong
    ├── InternalError         exit 2   a defect of ours
    ├── LocalStorageFailed    exit 2   this machine's disk: full, read-only, not a regular file
    │   └── QueueFull                  the offline queue is at its limit
    ├── TransientError        exit 3   worth trying again: time-outs, 429 rates, 5xx, no network
    │   ├── HubUnreachable             no connection, or no answer in time
    │   ├── NotTheHub                  something answered that is not a hub (captive portal, proxy)
    │   ├── RateLimited        429
    │   ├── TooManyTransfers   429     uploads in chunks that nobody has ended yet
    │   ├── RequestTimeout     408
    │   ├── InProgress         409     the same request is still under way
    │   ├── ServerFault        500
    │   ├── ServiceUnavailable 503
    │   └── StorageFull        507
    ├── RenewableError        exit 3   taken once begun afresh: a new transfer, a new signed URL
    │   ├── TransferExpired    410
    │   ├── ChunksMissing      409     a transfer cannot end yet; `missing` names the chunks
    │   └── SignedUrlExpired   403     ask for a new one
    ├── HeldError             exit 4   waits for a person: credentials or quota
    │   ├── NotAuthenticated   401     no key, or a wrong one
    │   ├── KeyExpired         401
    │   ├── KeyRevoked         401
    │   ├── MissingScope       403
    │   ├── WrongScope         403     headers and key disagree
    │   ├── PermissionRefused  403
    │   └── QuotaExceeded      429
    └── RefusedError          exit 5   the same request will never be taken
        ├── MalformedRequest   400
        ├── MalformedJson      400
        ├── MalformedGzip      400
        ├── MalformedBase64    400
        ├── NotFound           404
        ├── MethodNotAllowed   405
        ├── NotAcceptable      406
        ├── Duplicate          409
        ├── Conflict           409
        ├── PreconditionFailed 412
        ├── PayloadTooLarge    413
        ├── UnsupportedMedia   415
        ├── RangeNotSatisfiable 416
        ├── InvalidPayload     422     the document does not fit; `errors` says where
        ├── UnknownType        422
        ├── DigestMismatch     422
        ├── SignedUrlRefused   403     not signed by this hub, or for something else
        ├── BytesMissing       410     the hub's object store has lost them
        ├── PayloadExpired     410     kept long enough, and let go
        └── IdempotencyMismatch 422

Every class has a stable ``code`` (snake_case), an HTTP ``status``, says whether a retry can help
(``retryable``) and which exit code a command ends with (``exit_code``).
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One place in a document that does not fit; ``pointer`` is an RFC 6901 JSON pointer."""

    pointer: str
    code: str
    detail: str


class OdavlError(Exception):
    """The root: everything that ODAVL raises on purpose."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = HTTPStatus.INTERNAL_SERVER_ERROR
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 2

    def __init__(
        self,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        hint: str = "",
        request_id: str = "",
    ) -> None:
        """``retry_after`` is in seconds; ``hint`` tells a person at a terminal what to do next."""
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors
        self.retry_after = retry_after
        self.hint = hint
        self.request_id = request_id


class UsageError(OdavlError):
    code = "usage_error"
    status = HTTPStatus.BAD_REQUEST
    title = "Wrong usage"


class InternalError(OdavlError):
    pass


class LocalStorageFailed(OdavlError):
    code = "local_storage_failed"
    title = "A file on this machine cannot be read or written"


class QueueFull(LocalStorageFailed):
    code = "queue_full"
    title = "The offline queue is full"


class TransientError(OdavlError):
    code = "transient_error"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Temporary failure"
    retryable = True
    exit_code = 3


class HubUnreachable(TransientError):
    code = "hub_unreachable"
    title = "The hub cannot be reached"


class NotTheHub(TransientError):
    code = "not_the_hub"
    title = "What answered is not an ODAVL hub"


class RateLimited(TransientError):
    code = "rate_limited"
    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "Too many requests"


class TooManyTransfers(TransientError):
    code = "too_many_transfers"
    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "Too many uploads in chunks are under way"


class RequestTimeout(TransientError):
    code = "request_timeout"
    status = HTTPStatus.REQUEST_TIMEOUT
    title = "The request did not arrive in time"


class InProgress(TransientError):
    code = "in_progress"
    status = HTTPStatus.CONFLICT
    title = "The same request is still under way"


class ServerFault(TransientError):
    code = "internal_error"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    title = "The hub failed"


class ServiceUnavailable(TransientError):
    code = "service_unavailable"
    title = "The hub is not ready"


class StorageFull(TransientError):
    code = "storage_full"
    status = HTTPStatus.INSUFFICIENT_STORAGE
    title = "The hub's storage is full"


class RenewableError(OdavlError):
    code = "renewable"
    status = HTTPStatus.GONE
    title = "It must be begun afresh"
    retryable = True
    exit_code = 3


class TransferExpired(RenewableError):
    code = "transfer_expired"
    title = "The transfer has expired or was dropped"


class ChunksMissing(RenewableError):
    code = "chunks_missing"
    status = HTTPStatus.CONFLICT
    title = "Chunks of the transfer are missing"

    def __init__(self, detail: str = "", *, missing: tuple[str, ...] = (), **told: Any) -> None:
        """``missing`` holds the names (SHA-256 in hex) of the chunks."""
        super().__init__(detail, **told)
        self.missing = missing


class SignedUrlExpired(RenewableError):
    code = "signed_url_expired"
    status = HTTPStatus.FORBIDDEN
    title = "The signed address has expired"


class HeldError(OdavlError):
    code = "held"
    status = HTTPStatus.FORBIDDEN
    title = "Held"
    exit_code = 4


class NotAuthenticated(HeldError):
    code = "not_authenticated"
    status = HTTPStatus.UNAUTHORIZED
    title = "No valid credentials"


class KeyExpired(NotAuthenticated):
    code = "key_expired"
    title = "The API key has expired"


class KeyRevoked(NotAuthenticated):
    code = "key_revoked"
    title = "The API key was revoked"


class MissingScope(HeldError):
    code = "missing_scope"
    title = "The API key lacks a scope"


class WrongScope(HeldError):
    code = "wrong_scope"
    title = "The key belongs to another organization or project"


class PermissionRefused(HeldError):
    code = "permission_denied"
    title = "Not allowed"


class QuotaExceeded(HeldError):
    code = "quota_exceeded"
    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "The plan's quota is spent"


class RefusedError(OdavlError):
    code = "refused"
    status = HTTPStatus.BAD_REQUEST
    title = "Refused"
    exit_code = 5

    def of(self, name: str) -> RefusedError:
        """The same error, told of the document ``name``: one of several."""
        return type(self)(f"{name}: {self.detail}", errors=self.errors)


class MalformedRequest(RefusedError):
    code = "malformed_request"
    title = "The request is malformed"


class MalformedJson(RefusedError):
    code = "malformed_json"
    title = "The document is not valid JSON"


class MalformedGzip(RefusedError):
    code = "malformed_gzip"
    title = "The data is not valid gzip"


class MalformedBase64(RefusedError):
    code = "malformed_base64"
    title = "The data is not valid base64"


class NotFound(RefusedError):
    code = "not_found"
    status = HTTPStatus.NOT_FOUND
    title = "Not found"


class MethodNotAllowed(RefusedError):
    code = "method_not_allowed"
    status = HTTPStatus.METHOD_NOT_ALLOWED
    title = "Method not allowed"


class NotAcceptable(RefusedError):
    code = "not_acceptable"
    status = HTTPStatus.NOT_ACCEPTABLE
    title = "No acceptable representation"


class Conflict(RefusedError):
    code = "conflict"
    status = HTTPStatus.CONFLICT
    title = "Conflict"


class Duplicate(Conflict):
    code = "duplicate"
    title = "It exists already"


class PreconditionFailed(RefusedError):
    code = "precondition_failed"
    status = HTTPStatus.PRECONDITION_FAILED
    title = "Somebody else changed it in the meantime"


class PayloadTooLarge(RefusedError):
    code = "payload_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "The payload is too large"


class UnsupportedMedia(RefusedError):
    code = "unsupported_media_type"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Unsupported media type"


class RangeNotSatisfiable(RefusedError):
    code = "range_not_satisfiable"
    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    title = "The range lies behind the end"


class InvalidPayload(RefusedError):
    code = "invalid_payload"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "The document does not fit its schema"


class UnknownType(RefusedError):
    code = "unknown_type"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "Unknown upload type"


class DigestMismatch(RefusedError):
    code = "digest_mismatch"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "The SHA-256 does not match the data"


class SignedUrlRefused(RefusedError):
    code = "signed_url_refused"
    status = HTTPStatus.FORBIDDEN
    title = "The signed address does not allow this"


class BytesMissing(RefusedError):
    code = "bytes_missing"
    status = HTTPStatus.GONE
    title = "The hub has lost these bytes"


class PayloadExpired(RefusedError):
    code = "payload_expired"
    status = HTTPStatus.GONE
    title = "What was sent is not kept any more"


class IdempotencyMismatch(RefusedError):
    code = "idempotency_mismatch"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "The Idempotency-Key was used with another body"


def every_error() -> tuple[type[OdavlError], ...]:
    """All classes of the tree, root first, each once."""
    found: list[type[OdavlError]] = [OdavlError]
    for error in found:
        found.extend(error.__subclasses__())
    return tuple(found)
