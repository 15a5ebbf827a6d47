"""S3 and what speaks it: MinIO, DigitalOcean Spaces, Google Cloud Storage's interoperable API.

Only calls and headers that all of them know are used. botocore tries again by itself, with growing
and jittered pauses, what failed with 5xx, ``SlowDown`` or a broken connection; every call that
writes sends bytes it still has, so that a second try sends the same and replaces like with like.
"""

from __future__ import annotations

import hashlib
import logging
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from odavl.wire.errors import ServiceUnavailable, StorageFull
from storage.objects.disposition import attachment
from storage.objects.interface import (
    MARKS,
    PAGE_SIZE,
    PART_SIZE,
    PIECE_SIZE,
    Listed,
    Listing,
    ObjectFacts,
    ObjectMissing,
    Part,
    SignedRequest,
    Staged,
    Unfinished,
    UploadTerms,
    check_key,
    in_parts,
)
from storage.objects.outages import Outage
from storage.objects.staging import spooled

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_log = logging.getLogger(__name__)
ATTEMPTS = 4
"""With the time-outs of :func:`_client` a call that nobody answers lasts a minute."""
_READ_ATTEMPTS = 4
_MISSING = frozenset({"NoSuchKey", "NoSuchUpload", "NotFound", "404"})
_FULL = frozenset({"XMinioStorageFull", "InsufficientStorage", "507", "QuotaExceeded"})
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class S3Options:
    """``public_endpoint`` is where clients reach the store, if that is another address than ours.

    ``at_once`` bounds how many calls a process has under way, 0 does not.
    Empty texts leave the choice to boto3: AWS itself, credentials from its own chain.
    """

    bucket: str
    endpoint: str = ""
    public_endpoint: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    at_once: int = 0


class S3Store:
    name = "s3"
    is_near = False
    binds = frozenset({"size", "type", "digest"})

    def __init__(self, options: S3Options) -> None:
        self._bucket = options.bucket
        self._client = _client(options, options.endpoint, attempts=ATTEMPTS)
        # Signing asks nobody, so the address may be one that only clients can reach.
        self._signer = _client(options, options.public_endpoint or options.endpoint, attempts=1)
        self._impatient = _client(options, options.endpoint, attempts=1, seconds=2)
        self._outage = Outage(BotoCoreError, at_once=options.at_once)

    def put(self, key: str, pieces: Iterable[bytes], *, content_type: str = "") -> int:
        check_key(key)
        parts = in_parts(pieces)
        first = next(parts, b"")
        if len(first) == PART_SIZE and (second := next(parts, None)) is not None:
            return self._put_in_parts(key, _again(first, second, parts), content_type)
        with self._explained(key):
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=first,
                ContentType=content_type or _UNKNOWN_TYPE,
                ContentMD5=_md5(first),
            )
        return len(first)

    def stage(self, pieces: Iterable[bytes]) -> AbstractContextManager[Staged]:
        return spooled(self, pieces)

    def pieces(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        facts = self.facts(key)
        end = facts.size if length is None else min(facts.size, start + length)
        return self._read(check_key(key), start, end)

    def facts(self, key: str) -> ObjectFacts:
        with self._explained(key):
            head = self._client.head_object(Bucket=self._bucket, Key=check_key(key))
        return ObjectFacts(head["ContentLength"], head.get("ContentType", ""))

    def size(self, key: str) -> int:
        return self.facts(key).size

    def exists(self, key: str) -> bool:
        try:
            self.facts(key)
        except ObjectMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        with self._explained(key, missing_is_fine=True):
            self._client.delete_object(Bucket=self._bucket, Key=check_key(key))

    def move(self, source: str, target: str) -> None:
        check_key(target)
        try:
            with self._explained(source):
                self._client.copy_object(
                    Bucket=self._bucket,
                    Key=target,
                    CopySource={"Bucket": self._bucket, "Key": check_key(source)},
                )
        except ObjectMissing:
            if self.exists(target):
                return
            raise
        self.delete(source)

    def listing(self, *, prefix: str = "", cursor: str = "", at_most: int = PAGE_SIZE) -> Listing:
        """In the order of the keys; the cursor is the last key."""
        with self._explained(self._bucket):
            # The first version of this call: it is the one that every store has.
            page = self._client.list_objects(
                Bucket=self._bucket, Prefix=prefix, Marker=cursor, MaxKeys=at_most
            )
        contents = page.get("Contents", [])
        found = [
            Listed(each["Key"], each["Size"], each["LastModified"])
            for each in contents
            if not each["Key"].startswith(MARKS)
        ]
        return Listing(found, next=contents[-1]["Key"] if contents and page["IsTruncated"] else "")

    def sign_upload(self, key: str, terms: UploadTerms, *, seconds: int) -> SignedRequest:
        bound: dict[str, Any] = {
            "Key": check_key(key),
            "ContentType": terms.content_type,
            "ContentLength": terms.size,
        }
        headers = {"Content-Type": terms.content_type}
        if terms.sha256:
            bound["ChecksumSHA256"] = b64encode(bytes.fromhex(terms.sha256)).decode()
            headers["x-amz-checksum-sha256"] = bound["ChecksumSHA256"]
        return self._signed("put_object", "PUT", bound, headers, seconds)

    def sign_download(
        self, key: str, *, file_name: str, content_type: str, seconds: int
    ) -> SignedRequest:
        wanted = {
            "Key": check_key(key),
            "ResponseContentDisposition": attachment(file_name),
            "ResponseContentType": content_type,
        }
        return self._signed("get_object", "GET", wanted, {}, seconds)

    def start_multipart(self, key: str, *, content_type: str) -> str:
        with self._explained(key):
            started = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=check_key(key), ContentType=content_type or _UNKNOWN_TYPE
            )
        return started["UploadId"]

    def sign_part(
        self, key: str, upload_id: str, number: int, *, size: int, seconds: int
    ) -> SignedRequest:
        bound = {
            "Key": check_key(key),
            "UploadId": upload_id,
            "PartNumber": number,
            "ContentLength": size,
        }
        return self._signed("upload_part", "PUT", bound, {}, seconds)

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=check_key(key), UploadId=upload_id
        )
        with self._explained(key):
            return [
                Part(part["PartNumber"], part["Size"], part["ETag"])
                for page in pages
                for part in page.get("Parts", [])
            ]

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        listed: list[CompletedPartTypeDef] = [
            {"PartNumber": part.number, "ETag": part.tag} for part in parts
        ]
        try:
            with self._explained(key):
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=check_key(key),
                    UploadId=upload_id,
                    MultipartUpload={"Parts": listed},
                )
        except ObjectMissing:
            # The answer to an earlier try was lost: then the object is there.
            if self.size(key) != sum(part.size for part in parts):
                raise

    def abort_multipart(self, key: str, upload_id: str) -> None:
        with self._explained(key, missing_is_fine=True):
            self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=check_key(key), UploadId=upload_id
            )

    def unfinished(self) -> Iterator[Unfinished]:
        """MinIO names none for a whole bucket, and drops them by itself after a day."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket)
        with self._explained(self._bucket):
            for page in pages:
                for each in page.get("Uploads", []):
                    yield Unfinished(each["UploadId"], each["Key"], each["Initiated"])

    def mark(self, name: str) -> None:
        with self._explained(name):
            self._client.put_object(Bucket=self._bucket, Key=f"{MARKS}{name}", Body=b"")

    def has_mark(self, name: str) -> bool:
        try:
            with self._explained(name):
                self._client.head_object(Bucket=self._bucket, Key=f"{MARKS}{name}")
        except ObjectMissing:
            return False
        return True

    def probe(self) -> None:
        with _explained(self._bucket):
            self._impatient.head_bucket(Bucket=self._bucket)

    def _put_in_parts(self, key: str, pieces: Iterable[bytes], content_type: str) -> int:
        upload_id = self.start_multipart(key, content_type=content_type)
        parts: list[Part] = []
        try:
            for number, data in enumerate(pieces, start=1):
                with self._explained(key):
                    answer = self._client.upload_part(
                        Bucket=self._bucket,
                        Key=key,
                        UploadId=upload_id,
                        PartNumber=number,
                        Body=data,
                        ContentMD5=_md5(data),
                    )
                parts.append(Part(number, len(data), answer["ETag"]))
            self.complete_multipart(key, upload_id, parts)
        except BaseException:
            self.abort_multipart(key, upload_id)
            raise
        return sum(part.size for part in parts)

    def _read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes, gone on with where a connection broke in the middle."""
        attempts = 0
        while start < end:
            try:
                with self._explained(key):
                    answer = self._client.get_object(
                        Bucket=self._bucket, Key=key, Range=f"bytes={start}-{end - 1}"
                    )
                pieces = answer["Body"].iter_chunks(PIECE_SIZE)
                # A store may promise an answer at once, and then nothing comes of it.
                with self._outage.noticed():
                    piece = next(pieces, b"")
                while piece:
                    start += len(piece)
                    attempts = 0
                    yield piece
                    piece = next(pieces, b"")
            except (BotoCoreError, HTTPClientError, OSError) as error:
                attempts += 1
                if attempts == _READ_ATTEMPTS:
                    raise ServiceUnavailable("The object store broke off.") from error

    @contextmanager
    def _explained(self, key: str, *, missing_is_fine: bool = False) -> Iterator[None]:
        """For every call but the probe, which is to find out."""
        with self._outage.noticed(), _explained(key, missing_is_fine=missing_is_fine):
            yield

    def _signed(
        self, call: str, method: str, bound: dict[str, Any], headers: dict[str, str], seconds: int
    ) -> SignedRequest:
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        url = self._signer.generate_presigned_url(
            call, Params={"Bucket": self._bucket, **bound}, ExpiresIn=seconds, HttpMethod=method
        )
        return SignedRequest(url, method, expires_at, headers)


def _client(options: S3Options, endpoint: str, *, attempts: int, seconds: int = 10) -> S3Client:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=options.region or None,
        aws_access_key_id=options.access_key or None,
        aws_secret_access_key=options.secret_key or None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": options.addressing},
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=min(seconds, 3),
            read_timeout=seconds,
            # Not every store knows the newer checksums; Content-MD5 they all check.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
        ),
    )


@contextmanager
def _explained(key: str, *, missing_is_fine: bool = False) -> Iterator[None]:
    """What the store or the way to it raised, as errors of ours."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _MISSING:
            if missing_is_fine:
                return
            raise ObjectMissing(key) from error
        if code in _FULL:
            raise StorageFull("The object store is full; nothing was stored.") from error
        _log.warning("The object store refused %s: %s", key, error)
        raise ServiceUnavailable("The object store does not take or give the object.") from error
    except BotoCoreError as error:
        _log.warning("The object store does not answer: %s", error)
        raise ServiceUnavailable("The object store does not answer.") from error


def _again(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _md5(data: bytes) -> str:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
