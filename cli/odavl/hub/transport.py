"""One HTTP client for the hub: addresses, credentials, time-outs, retries, and honest errors.

Whatever is not a hub's answer (a proxy's page, a captive portal, a redirect to somebody else) is an
error here, so that nobody above can take it for success.

The body of an answer is read within bounds: a hub that was taken over must not fill our memory.
Only what we offer is inflated, piece by piece, and never further than the caller can use. HTTPX
would inflate a whole piece at once, a few kilobytes of brotli to more than a gigabyte.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import IO, Self, TypeVar
from urllib.parse import urljoin

import httpx
import msgspec

from odavl import __version__
from odavl.hub.deadline import transport_for, within
from odavl.hub.retry import RetryPolicy, date_of, parse_retry_after
from odavl.wire import deflate, limits
from odavl.wire.errors import (
    HubUnreachable,
    MissingScope,
    NotAuthenticated,
    NotTheHub,
    OdavlError,
    QuotaExceeded,
    RateLimited,
    RequestTimeout,
    ServerFault,
    ServiceUnavailable,
    StorageFull,
    UsageError,
    WrongScope,
)
from odavl.wire.problem import CONTENT_TYPE, class_for_status, decode_problem, rebuild_error

API_PREFIX = "/api/v1"
STEP_SECONDS = 30.0
"""A single step, such as waiting for the next bytes, may take as long unless told otherwise."""

_STEPS = 4
"""All of an exchange may take as many, and what its body needs at ``_SLOWEST``."""
_SLOWEST = 8 * limits.KIBIBYTE
"""Bytes a second that a line must carry."""

_OFFERED = "gzip"
"""What ``Accept-Encoding`` says."""

LARGEST = 16 * limits.MEBIBYTE
"""Bytes of an answer; the longest is a workspace's list of files."""

LARGEST_ERROR = limits.MEBIBYTE
_INFLATED_STEP = 64 * limits.KIBIBYTE

_PIECE = 256 * limits.KIBIBYTE
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PROXY_FAULTS = frozenset({408, 429, 500, 502, 503, 504})
_JSON_TYPES = frozenset({"application/json", CONTENT_TYPE})
_PORTS = {"http": 80, "https": 443}
_LAST_REDIRECT = 3
_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A hub's answer that is no error: JSON, nothing for 204, or what the call wants."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def decode(self, decoder: msgspec.json.Decoder[T]) -> T:
        """The body as the decoder's type. Raises :class:`NotTheHub` where it does not fit."""
        try:
            return decoder.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NotTheHub(
                f"The answer is not what a hub sends: {error}.",
                hint="Check the address, and that client and hub are of like versions.",
            ) from error


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request. ``body`` may be bytes, or a seekable file of ``body_size`` bytes."""

    method: str
    path: str
    body: bytes | IO[bytes] = b""
    body_size: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    on_sent: Callable[[int], None] | None = None
    """Told the bytes of the body that went out so far."""
    wants: str = ""
    """A content type that the answer may have beside JSON."""
    largest: int = LARGEST
    """Bytes that the answer's body may have."""

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method in _SAFE_METHODS or "Idempotency-Key" in self.headers


class HubClient:
    """Calls to one hub. Use as a context manager; connections are kept while it is open."""

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        organization_id: str | None = None,
        policy: RetryPolicy | None = None,
        timeout: float = STEP_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``address`` is ``scheme://host[:port][/prefix]``; ``timeout`` is seconds for one step.

        A whole exchange ends within four times as long, and a second for each 8 KiB that it sends.
        """
        self.address = address
        self.organization_id = organization_id
        self.policy = policy or RetryPolicy()
        self.answered = False
        """Whether the hub has taken a request."""
        self._token = token
        self._sleep = sleep
        self._origin = _origin(address)
        if self._origin is None:
            raise UsageError(f"{address} is not the address of a hub.")
        self._longest = _STEPS * timeout
        # Loading the certificates takes longer than many a call; plain HTTP needs none.
        context = (
            httpx.create_ssl_context()
            if address.startswith("https:")
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            follow_redirects=False,  # followed here, where the origin is looked at
            headers={
                "User-Agent": f"odavl/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": _OFFERED,
            },
            verify=context,
            transport=transport_for(address, context),
        )
        # The key is all that a request carries; no answer makes the next one carry more.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def has_key(self, digest: str) -> bool:
        """Whether ``digest`` is that of the key that this client sends."""
        return self._token is not None and digest_of_key(self._token) == digest

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """``GET`` below the API's prefix."""
        return self.send(Call(method="GET", path=path, query=query or {}))

    def send_json(
        self, method: str, path: str, document: object, *, idempotency_key: str | None = None
    ) -> Answer:
        """``document`` as a JSON body."""
        headers = {"Content-Type": "application/json"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        return self.send(
            Call(method=method, path=path, body=msgspec.json.encode(document), headers=headers)
        )

    def send(self, call: Call, *, policy: RetryPolicy | None = None) -> Answer:
        """The hub's answer. A transient failure of a repeatable call is tried again.

        ``policy`` stands in for the client's own.

        Raises the error that the hub told, :class:`HubUnreachable` or :class:`NotTheHub`.
        """
        attempt = 1
        while True:
            try:
                answer = self._send_once(call)
            except OdavlError as error:
                pause = (policy or self.policy).pause(attempt, error.retry_after)
                if not (error.retryable and call.repeatable) or pause is None:
                    raise
            else:
                self.answered = True
                return answer
            self._sleep(pause)
            attempt += 1

    def pause(self, seconds: float) -> None:
        """Wait between two looks at work that goes on at the hub."""
        self._sleep(seconds)

    def url_of(self, path: str) -> str:
        """The whole address of ``path``: one below the API, one from the root, or a whole one.

        It may be a hub's word: only :meth:`_exchange`, which sends, says whether it is ours.
        """
        if path.startswith(("http://", "https://")):
            return path
        if path.startswith("/api/"):
            return self.address + path
        return f"{self.address}{API_PREFIX}{path}"

    def _send_once(self, call: Call) -> Answer:
        request_id = uuid.uuid4().hex
        url = self.url_of(call.path)
        for _ in range(_LAST_REDIRECT + 1):
            answer = self._exchange(call, url, request_id)
            if answer.status not in _REDIRECTS:
                return _judged(answer, request_id, call.wants)
            url = self._redirected(call, url, answer)
        raise NotTheHub("The hub redirects in a circle.", request_id=request_id)

    def _redirected(self, call: Call, url: str, answer: Answer) -> str:
        try:
            target = urljoin(url, answer.headers.get("location", ""))
        except ValueError as error:
            raise NotTheHub(f"{self.address} redirects to what is no address.") from error
        if _origin(target) != self._origin:
            raise NotTheHub(
                f"{self.address} redirects to another address ({target}); nothing was sent there.",
                hint="If that is your hub, set ODAVL_CLOUD_API to it.",
            )
        if call.method != "GET" and answer.status not in {307, 308}:
            raise NotTheHub(f"{self.address} answers {answer.status} where it should store.")
        return target

    def _exchange(self, call: Call, url: str, request_id: str) -> Answer:
        """One request and its answer: the one place where a key goes out, and only to its hub."""
        if _origin(url) != self._origin:
            raise NotTheHub("The hub named an address of another origin; nothing was sent there.")
        # The time lets the hub put right what a clock that is wrong says elsewhere.
        headers = {
            "X-Request-Id": request_id,
            "Date": format_datetime(datetime.now(UTC), usegmt=True),
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self.organization_id:
            headers["X-Organization-Id"] = self.organization_id
        headers.update(call.headers)
        content: bytes | Iterator[bytes] = b""
        size = call.body_size
        if isinstance(call.body, bytes):
            content, size = call.body, len(call.body)
        else:
            content = _pieces(call.body, call.on_sent)
            headers["Content-Length"] = str(call.body_size)
        try:
            with (
                within(self._longest + size / _SLOWEST),
                self._client.stream(
                    call.method,
                    url,
                    content=content,
                    headers=headers,
                    params=dict(call.query) or None,
                ) as response,
            ):
                return Answer(
                    status=response.status_code,
                    headers=dict(response.headers),
                    body=_bounded_body(response, call.largest),
                )
        except httpx.TransportError as error:
            raise HubUnreachable(
                f"The hub at {self.address} cannot be reached: {_reason(error)}.",
                hint="Check that it runs and that the address is right (odavl doctor).",
                request_id=request_id,
            ) from error


def digest_of_key(key: str) -> str:
    """Tells a key from others, and nothing of it: keys are random and long."""
    return hashlib.sha256(b"odavl queue\0" + key.encode()).hexdigest()[:32]


def was_cut(error: OdavlError) -> bool:
    """Whether the line broke or was too slow for so much, so that sending less at once may help."""
    if isinstance(error, RequestTimeout):
        return True
    cause = error.__cause__
    return isinstance(error, HubUnreachable) and isinstance(
        cause, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError | httpx.CloseError
    )


def _bounded_body(response: httpx.Response, largest: int) -> bytes:
    """The body, inflated where it is gzip. Raises :class:`NotTheHub` for more than ``largest``.

    An error's body is held to :data:`LARGEST_ERROR`, whatever was wanted.
    """
    if response.is_error:
        largest = min(largest, LARGEST_ERROR)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity", _OFFERED}:
        raise NotTheHub("The answer is encoded in a way that was not asked for.")
    # What cannot be compressed is a little longer for it.
    raw = _within(response.iter_raw(), largest + largest // 8 + _INFLATED_STEP)
    try:
        return b"".join(_within(_inflated(raw) if encoding == _OFFERED else raw, largest))
    except deflate.DeflateError as error:
        raise NotTheHub("The answer cannot be decoded.") from error


def _within(pieces: Iterable[bytes], largest: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > largest:
            raise NotTheHub("The answer is larger than any a hub gives.")
        yield piece


def _inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """All members, one after the other; one that ends too early is damaged."""
    inflater = deflate.inflater(deflate.GZIP)
    is_begun = False
    for piece in pieces:
        rest = piece
        while rest:
            if inflater.eof:
                inflater = deflate.inflater(deflate.GZIP)
            is_begun = True
            yield inflater.decompress(rest, _INFLATED_STEP)
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if is_begun and not inflater.eof:
        # What it holds back fits into a step; more would have left an unconsumed tail.
        yield inflater.flush()
        if not inflater.eof:
            raise NotTheHub("The answer ends too early.")


def _judged(answer: Answer, request_id: str, wants: str = "") -> Answer:
    """``answer`` where it is a hub's and no error; raises what it tells otherwise."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        if answer.status == HTTPStatus.NO_CONTENT or kind in {*_JSON_TYPES, wants or None}:
            return answer
        raise NotTheHub(
            f"Something answered {answer.status} with {kind or 'no content type'}: not a hub.",
            hint="A captive portal or a proxy may stand between; check the address.",
            request_id=request_id,
        )
    # A date is meant by the clock of who wrote it, which may not be ours.
    now = date_of(answer.headers.get("date")) or datetime.now(UTC)
    wait = parse_retry_after(answer.headers.get("retry-after"), now)
    problem = decode_problem(answer.body) if kind in _JSON_TYPES else None
    if problem is not None:
        error = rebuild_error(problem, retry_after=wait)
        error.hint = _hint_for(error)
        error.request_id = error.request_id or answer.headers.get("x-request-id", request_id)
        raise error
    raise _foreign_error(answer.status, wait, request_id)


def _hint_for(error: OdavlError) -> str:
    """What a person can do about what the hub tells; the hub knows no command line."""
    hints: tuple[tuple[type[OdavlError], str], ...] = (
        (NotAuthenticated, "Sign in: odavl login --token -"),
        (MissingScope, "Use a key with that scope: odavl keys create NAME --scopes ..."),
        (WrongScope, "Check --organization, --project and the key (odavl whoami)."),
        (QuotaExceeded, "Try again when there is room, or ask for a larger plan."),
        (RateLimited, "Try again in a while."),
        (StorageFull, "Tell whoever runs the hub."),
        (ServerFault, f"Tell whoever runs the hub: request {error.request_id}."),
    )
    return next((hint for kind, hint in hints if isinstance(error, kind)), "")


def _foreign_error(status: int, wait: float | None, request_id: str) -> OdavlError:
    """An error that no hub wrote: only what a proxy says about itself is believed."""
    if status in _PROXY_FAULTS:
        passing = class_for_status(status)
        error_class = passing if passing.retryable else ServiceUnavailable
        return error_class(
            f"Something in front of the hub answered {status}.",
            retry_after=wait,
            request_id=request_id,
        )
    return NotTheHub(
        f"Something answered {status} that is not a hub.",
        hint="Check the address; a proxy may ask for a sign-in of its own.",
        request_id=request_id,
    )


def _pieces(file: IO[bytes], on_sent: Callable[[int], None] | None) -> Iterator[bytes]:
    file.seek(0)
    sent = 0
    while piece := file.read(_PIECE):
        yield piece
        sent += len(piece)
        if on_sent:
            on_sent(sent)


def _origin(address: str) -> tuple[str, str, int] | None:
    """Scheme, host and port, read by what sends: two readers of one address may disagree.

    None for what is no address, and for one that carries credentials of its own.
    """
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        return None
    if url.scheme not in _PORTS or not url.host or url.userinfo:
        return None
    return url.scheme, url.host, url.port or _PORTS[url.scheme]


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    text = _ERROR_NUMBER.sub("", str(error)).strip().rstrip(".")
    return text or type(error).__name__
