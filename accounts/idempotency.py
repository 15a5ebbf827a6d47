"""``Idempotency-Key``: the same request sent twice is done once and answered alike.

A key means something within one project of an organization, the one that the request turns out to
be about, whichever API key it came with: those rotate. What is about no project has the
organization's own room for keys.

The record of the answer is committed in the transaction that does the work. Hence an answer that
is lost after the commit is given again, and a crash before it leaves the key free. Two at once are
told apart by an advisory lock, which PostgreSQL drops with the transaction, however that ends.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import IdempotencyRecord, Project
from accounts.principal import Principal, principal_of
from odavl.wire import limits
from odavl.wire.errors import FieldError, IdempotencyMismatch, InProgress, MalformedRequest

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
_SUCCESS = range(200, 300)
_RETRY_SECONDS = 1.0


class Answer(NamedTuple):
    """``body`` is the JSON that was, or is now, sent."""

    status: int
    body: bytes
    replayed: bool


class Recorded(NamedTuple):
    """The first request with a key, as its digest, and what was answered to it."""

    digest: str
    status: int
    body: bytes


class Memory(Protocol):
    """Who remembers first requests for longer than a day: with what they made."""

    def recall(self) -> Recorded | None:
        """The first request with the key in the project; None where there was none."""

    def is_of_project(self, body: bytes) -> bool:
        """Whether what ``body`` answers is the project's.

        Asked of records of the version before this one, which noted no project.
        """


class Seal(Protocol):
    """Hides a kept body that holds a secret; :meth:`open` raises ``ValueError`` for a stranger."""

    def close(self, body: bytes) -> bytes: ...

    def open(self, sealed: bytes) -> bytes: ...


class CredentialSeal:
    """A :class:`Seal` whose key follows from the Authorization header.

    The hub keeps an API key's HMAC and never the key, yet must give the same answer to the same
    POST. So what is recorded is encrypted with the credentials that came with the request, which
    the hub does not keep either.
    """

    def __init__(self, authorization: str) -> None:
        secret = hmac.new(
            settings.API_KEY_PEPPER.encode(), b"seal:" + authorization.encode(), hashlib.sha256
        )
        self._cipher = Fernet(urlsafe_b64encode(secret.digest()))

    def close(self, body: bytes) -> bytes:
        return self._cipher.encrypt(body)

    def open(self, sealed: bytes) -> bytes:
        """The body; ``ValueError`` for other credentials than those it was closed with."""
        try:
            return self._cipher.decrypt(sealed)
        except InvalidToken as error:
            raise ValueError("sealed with other credentials") from error


def key_of(request: Request | HttpRequest) -> str | None:
    """The header's value, None without one; :class:`MalformedRequest` for an unusable one."""
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not 0 < len(key) <= limits.MAX_IDEMPOTENCY_KEY_LENGTH or not key.isprintable():
        raise MalformedRequest(
            f"{HEADER} must have 1 to {limits.MAX_IDEMPOTENCY_KEY_LENGTH} printable characters.",
            errors=(FieldError(f"/headers/{HEADER}", "invalid", "empty, too long or unprintable"),),
        )
    return key


def digest_of(request: Request | HttpRequest) -> str:
    """What must be equal for a key to mean the same request: method, path and body. Hex."""
    digest = hashlib.sha256(f"{request.method} {request.path}\n".encode())
    digest.update(request.body)
    return digest.hexdigest()


def run_once(
    principal: Principal,
    key: str | None,
    digest: str,
    make_answer: Callable[[], tuple[int, bytes]],
    *,
    project: Project | None,
    seal: Seal | None = None,
) -> Answer:
    """:func:`run_within` in a transaction of its own, which an exception rolls back."""
    with transaction.atomic():
        return run_within(principal, key, digest, make_answer, project=project, seal=seal)


def run_within(
    principal: Principal,
    key: str | None,
    digest: str,
    make_answer: Callable[[], tuple[int, bytes]],
    *,
    project: Project | None,
    memory: Memory | None = None,
    seal: Seal | None = None,
) -> Answer:
    """``make_answer()``, or what it answered the first time this ``key`` came for ``project``.

    ``make_answer`` returns status and JSON body; it runs inside the caller's transaction, which an
    exception must end. Only 2xx answers are kept. Without a key nothing is kept. ``project`` is
    what the request is about, None where it is about the whole organization. ``memory`` knows
    answers for longer than the records do.

    Raises :class:`InProgress` while the first request still runs and :class:`IdempotencyMismatch`
    where ``digest`` differs from the first one's.
    """
    if key is None:
        return Answer(*make_answer(), replayed=False)
    if not _lock(principal, project, key):
        raise InProgress(
            "The first request with this Idempotency-Key is still under way.",
            retry_after=_RETRY_SECONDS,
        )
    kept = _recorded(principal, project, key, memory)
    if kept is not None:
        return _replayed(kept, digest, seal)
    status, body = make_answer()
    if status in _SUCCESS:
        IdempotencyRecord.objects.for_organization(principal.organization).create(
            organization=principal.organization,
            project=project,
            key=key,
            digest=digest,
            status=status,
            body=seal.close(body) if seal else body,
        )
    return Answer(status, body, replayed=False)


def respond_once(
    request: Request,
    make: Callable[[], tuple[int, object]],
    *,
    project: Project | None,
    seal: Seal | None = None,
) -> Response:
    """:func:`run_once` for a view: ``make`` returns the status and a wire struct."""

    def make_answer() -> tuple[int, bytes]:
        status, body = make()
        return status, msgspec.json.encode(body)

    key = key_of(request)
    digest = digest_of(request) if key else ""
    answer = run_once(principal_of(request), key, digest, make_answer, project=project, seal=seal)
    headers = {REPLAYED_HEADER: "true"} if answer.replayed else None
    return Response(answer.body, status=answer.status, headers=headers)


def delete_old_records(*, older_than: datetime, at_most: int = 1_000) -> int:
    """Drop what was kept before ``older_than``, for all organizations; how many records went."""
    old = IdempotencyRecord.across_organizations.filter(created_at__lt=older_than).order_by()
    count, _ = IdempotencyRecord.across_organizations.filter(
        pk__in=list(old.values_list("pk", flat=True)[:at_most])
    ).delete()
    return count


def _lock(principal: Principal, project: Project | None, key: str) -> bool:
    room = project.pk if project else principal.organization.pk
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"idempotency:{room}:{key}"],
        )
        (locked,) = cursor.fetchone()
    return bool(locked)


def _recorded(
    principal: Principal, project: Project | None, key: str, memory: Memory | None
) -> Recorded | None:
    rows = IdempotencyRecord.objects.for_organization(principal.organization).filter(key=key)
    if project is None:
        found = list(rows.filter(project=None))
    elif memory is None:
        found = list(rows.filter(project=project))
    else:
        found = [
            record
            for record in rows.filter(Q(project=project) | Q(project=None))
            if record.project_id is not None or memory.is_of_project(bytes(record.body))
        ]
    for record in found:
        return Recorded(record.digest, record.status, bytes(record.body))
    return memory.recall() if memory else None


def _replayed(kept: Recorded, digest: str, seal: Seal | None) -> Answer:
    if kept.digest != digest:
        raise IdempotencyMismatch("This Idempotency-Key came first with another request.")
    body = kept.body
    if seal is not None:
        try:
            body = seal.open(body)
        except ValueError as error:
            raise IdempotencyMismatch(
                "This Idempotency-Key came first with other credentials."
            ) from error
    return Answer(kept.status, body, replayed=True)
