"""Azure Blob Storage: block blobs in one container.

A shared access signature binds neither size nor type nor digest, so the hub checks an upload when
it is done (``storage.files``). The client tries again by itself what failed in passing.
"""

from __future__ import annotations

import logging
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobSasPermissions,
    BlobServiceClient,
    ContentSettings,
    ExponentialRetry,
    StorageErrorCode,
    generate_blob_sas,
)

from odavl.wire.errors import ServiceUnavailable, StorageFull
from storage.objects.disposition import attachment
from storage.objects.interface import (
    MARKS,
    PAGE_SIZE,
    PART_SIZE,
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

_log = logging.getLogger(__name__)
# It tells of every request and answer in twenty lines.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
_UNKNOWN_TYPE = "application/octet-stream"
_COPY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class AzureOptions:
    """``at_once`` as that of :class:`~storage.objects.s3.S3Options`."""

    connection_string: str
    container: str
    at_once: int = 0


class AzureStore:
    name = "azure"
    is_near = False
    binds: frozenset[str] = frozenset()

    def __init__(self, options: AzureOptions) -> None:
        self._container_name = options.container
        self._service = _service(options, retries=3, seconds=10)
        self._container = self._service.get_container_client(options.container)
        self._impatient = _service(options, retries=0, seconds=2)
        self._outage = Outage(ServiceRequestError, ServiceResponseError, at_once=options.at_once)

    def put(self, key: str, pieces: Iterable[bytes], *, content_type: str = "") -> int:
        blob = self._blob(key)
        blocks: list[str] = []
        size = 0
        held = b""
        upload_id = uuid4().hex
        # The pieces come from elsewhere: who waits for them asks the store nothing meanwhile.
        for data in in_parts(pieces):
            size += len(data)
            if held:
                with self._explained(key):
                    blocks.append(_stage(blob, upload_id, len(blocks) + 1, held))
            held = data
        with self._explained(key):
            if not blocks:
                blob.upload_blob(held, overwrite=True, content_settings=_settings(content_type))
                return size
            blocks.append(_stage(blob, upload_id, len(blocks) + 1, held))
            blob.commit_block_list(
                [BlobBlock(block) for block in blocks], content_settings=_settings(content_type)
            )
        return size

    def stage(self, pieces: Iterable[bytes]) -> AbstractContextManager[Staged]:
        return spooled(self, pieces)

    def pieces(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        size = self.size(key)
        end = size if length is None else min(size, start + length)
        return self._read(key, start, end)

    def facts(self, key: str) -> ObjectFacts:
        with self._explained(key):
            properties = self._blob(key).get_blob_properties()
        return ObjectFacts(properties.size, properties.content_settings.content_type or "")

    def size(self, key: str) -> int:
        return self.facts(key).size

    def exists(self, key: str) -> bool:
        with self._explained(key):
            return self._blob(key).exists()

    def delete(self, key: str) -> None:
        with self._explained(key, missing_is_fine=True):
            self._blob(key).delete_blob()

    def move(self, source: str, target: str) -> None:
        goal = self._blob(target)
        if not self.exists(source):
            if self.exists(target):
                return
            raise ObjectMissing(source)
        with self._explained(source):
            # The copy is asked for by an address of its own, good for this one blob.
            signed = self._address(source, BlobSasPermissions(read=True), seconds=300)
            goal.start_copy_from_url(signed.url)
            self._wait_for_copy(goal)
        self.delete(source)

    def listing(self, *, prefix: str = "", cursor: str = "", at_most: int = PAGE_SIZE) -> Listing:
        """The cursor is the store's own marker."""
        blobs = self._container.list_blobs(name_starts_with=prefix, results_per_page=at_most)
        # The stubs name the iterator only, not what it has beside.
        pages: Any = blobs.by_page(continuation_token=cursor or None)
        with self._explained(self._container_name):
            try:
                page = list(next(pages, ()))
            except HttpResponseError as error:
                if cursor and error.status_code == HTTPStatus.BAD_REQUEST:
                    raise ValueError("The store does not take this cursor.") from error
                raise
        found = [
            Listed(blob.name, blob.size, blob.last_modified)
            for blob in page
            if not blob.name.startswith(MARKS)
        ]
        return Listing(found, next=pages.continuation_token or "")

    def sign_upload(self, key: str, terms: UploadTerms, *, seconds: int) -> SignedRequest:
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": terms.content_type}
        permission = BlobSasPermissions(create=True, write=True)
        return self._address(key, permission, seconds=seconds, method="PUT", headers=headers)

    def sign_download(
        self, key: str, *, file_name: str, content_type: str, seconds: int
    ) -> SignedRequest:
        return self._address(
            key,
            BlobSasPermissions(read=True),
            seconds=seconds,
            answer=(attachment(file_name), content_type),
        )

    def start_multipart(self, key: str, *, content_type: str) -> str:
        check_key(key)
        # Blocks need no beginning; their type is given when they are committed.
        return f"{uuid4().hex}.{b64encode(content_type.encode()).decode()}"

    def sign_part(
        self, key: str, upload_id: str, number: int, *, size: int, seconds: int
    ) -> SignedRequest:
        del size
        signed = self._address(key, BlobSasPermissions(write=True), seconds=seconds, method="PUT")
        block_id = b64encode(_block_id(upload_id, number).encode()).decode()
        block = urlencode({"comp": "block", "blockid": block_id})
        return SignedRequest(f"{signed.url}&{block}", "PUT", signed.expires_at)

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        try:
            with self._explained(key):
                _, blocks = self._blob(key).get_block_list("uncommitted")
        except ObjectMissing:
            return []
        own = _prefix(upload_id)
        found = [
            Part(int(block.id.removeprefix(own)), block.size, block.id)
            for block in blocks
            if block.id.startswith(own)
        ]
        return sorted(found, key=lambda part: part.number)

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        content_type = b64decode(upload_id.partition(".")[2]).decode()
        with self._explained(key):
            self._blob(key).commit_block_list(
                [BlobBlock(_block_id(upload_id, part.number)) for part in parts],
                content_settings=_settings(content_type),
            )

    def abort_multipart(self, key: str, upload_id: str) -> None:
        if not self.parts(key, upload_id):
            return
        with self._explained(key, missing_is_fine=True):
            # Committing nothing is what drops blocks at once; else they lie for a week.
            self._blob(key).commit_block_list([])
            self._blob(key).delete_blob()

    def unfinished(self) -> Iterator[Unfinished]:
        """None: blocks that are never committed go by themselves after a week."""
        return iter(())

    def mark(self, name: str) -> None:
        with self._explained(name):
            self._container.get_blob_client(f"{MARKS}{name}").upload_blob(b"", overwrite=True)

    def has_mark(self, name: str) -> bool:
        with self._explained(name):
            return self._container.get_blob_client(f"{MARKS}{name}").exists()

    def probe(self) -> None:
        with _explained(self._container_name):
            self._impatient.get_container_client(self._container_name).get_container_properties()

    def _blob(self, key: str) -> BlobClient:
        return self._container.get_blob_client(check_key(key))

    def _read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        if start >= end:
            return
        with self._explained(key):
            download = self._blob(key).download_blob(offset=start, length=end - start)
        # Whoever takes the bytes may take long; that says nothing of the store.
        with _explained(key):
            yield from download.chunks()

    @contextmanager
    def _explained(self, key: str, *, missing_is_fine: bool = False) -> Iterator[None]:
        """For every call but the probe, which is to find out."""
        with self._outage.noticed(), _explained(key, missing_is_fine=missing_is_fine):
            yield

    def _wait_for_copy(self, blob: BlobClient) -> None:
        deadline = time.monotonic() + _COPY_SECONDS
        pause = 0.05
        while (copy := blob.get_blob_properties().copy).status == "pending":
            if time.monotonic() > deadline:
                raise ServiceUnavailable("The object store takes too long to copy.")
            time.sleep(pause)
            pause = min(1.0, pause * 2)
        if copy.status != "success":
            raise ServiceUnavailable(f"The object store did not copy: {copy.status}.")

    def _address(
        self,
        key: str,
        permission: BlobSasPermissions,
        *,
        seconds: int,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        answer: tuple[str | None, str | None] = (None, None),
    ) -> SignedRequest:
        """``answer`` holds the Content-Disposition and Content-Type that a GET shall give."""
        blob = self._blob(key)
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        signature = generate_blob_sas(
            account_name=str(blob.account_name),
            container_name=self._container_name,
            blob_name=key,
            account_key=self._service.credential.account_key,
            permission=permission,
            expiry=expires_at,
            content_disposition=answer[0],
            content_type=answer[1],
        )
        return SignedRequest(f"{blob.url}?{signature}", method, expires_at, headers or {})


def _service(options: AzureOptions, *, retries: int, seconds: int) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(
        options.connection_string,
        retry_policy=ExponentialRetry(
            initial_backoff=1, increment_base=2, retry_total=retries, random_jitter_range=1
        ),
        connection_timeout=min(seconds, 3),
        read_timeout=seconds,
        max_single_put_size=PART_SIZE,
        max_single_get_size=PART_SIZE // 2,
        max_chunk_get_size=PART_SIZE // 2,
    )


def _stage(blob: BlobClient, upload_id: str, number: int, data: bytes) -> str:
    block = _block_id(upload_id, number)
    blob.stage_block(block, data, length=len(data), validate_content=True)
    return block


def _settings(content_type: str) -> ContentSettings:
    return ContentSettings(content_type=content_type or _UNKNOWN_TYPE)


def _prefix(upload_id: str) -> str:
    return f"{upload_id.partition('.')[0]}-"


def _block_id(upload_id: str, number: int) -> str:
    """All ids of a blob must have one length. The client library does base64 by itself."""
    return f"{_prefix(upload_id)}{number:05}"


@contextmanager
def _explained(key: str, *, missing_is_fine: bool = False) -> Iterator[None]:
    """What the store or the way to it raised, as errors of ours."""
    try:
        yield
    except ResourceNotFoundError as error:
        # The client sets it on whatever the store answered; the stubs do not know.
        if getattr(error, "error_code", "") == StorageErrorCode.CONTAINER_NOT_FOUND:
            raise ServiceUnavailable("The object store has no such container.") from error
        if missing_is_fine:
            return
        raise ObjectMissing(key) from error
    except HttpResponseError as error:
        if error.status_code == HTTPStatus.INSUFFICIENT_STORAGE:
            raise StorageFull("The object store is full; nothing was stored.") from error
        _log.warning("The object store refused %s: %s", key, error.message)
        raise ServiceUnavailable("The object store does not take or give the object.") from error
    except AzureError as error:
        _log.warning("The object store does not answer: %s", error)
        raise ServiceUnavailable("The object store does not answer.") from error
