"""The object store that the settings name."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from django.conf import settings

from frame.database.timeouts import ProcessKind, process_kind
from odavl.wire.errors import ServiceUnavailable
from storage.objects.local import LocalOptions, LocalStore
from storage.signed_path import SIGNED_PATH
from storage.watched import WatchedStore

if TYPE_CHECKING:
    # Imported for good only where they are used: each costs a start more than Django does.
    from storage.objects.azure import AzureOptions
    from storage.objects.s3 import S3Options

PROVIDERS = ("local", "s3", "azure")


def object_store() -> WatchedStore:
    """The one store of this hub; clients of remote ones are made once in a process."""
    if settings.STORAGE_PROVIDER == "local":
        return _local(local_options())
    if settings.STORAGE_PROVIDER == "s3":
        return _s3(s3_options(), os.getpid())
    if settings.STORAGE_PROVIDER == "azure":
        return _azure(azure_options(), os.getpid())
    raise ServiceUnavailable("STORAGE_PROVIDER names no store.")


def local_store() -> LocalStore | None:
    """The store where it is the local disk, whose signed addresses the hub itself serves.

    Who writes there by itself makes sure that it is the hub's (:func:`require_present`).
    """
    store = object_store().behind
    return store if isinstance(store, LocalStore) else None


def require_present() -> None:
    """Raises :class:`ServiceUnavailable` unless the store that is there now is the hub's."""
    object_store().presence.require()


def local_options() -> LocalOptions:
    return LocalOptions(
        folder=Path(settings.ODAVL_DATA) / "objects",
        address=f"{settings.PUBLIC_URL}{SIGNED_PATH}",
        secret=settings.SECRET_KEY,
    )


def s3_options() -> S3Options:
    from storage.objects.s3 import S3Options  # noqa: PLC0415 - see above

    return S3Options(
        bucket=settings.S3_BUCKET,
        endpoint=settings.S3_ENDPOINT_URL,
        public_endpoint=settings.S3_PUBLIC_ENDPOINT_URL,
        region=settings.S3_REGION,
        access_key=settings.S3_ACCESS_KEY,
        secret_key=settings.S3_SECRET_KEY,
        addressing=cast("Literal['auto', 'path', 'virtual']", settings.S3_ADDRESSING_STYLE),
        at_once=_at_once(),
    )


def azure_options() -> AzureOptions:
    from storage.objects.azure import AzureOptions  # noqa: PLC0415 - see above

    return AzureOptions(
        connection_string=settings.AZURE_CONNECTION_STRING,
        container=settings.AZURE_CONTAINER,
        at_once=_at_once(),
    )


def _at_once() -> int:
    """Half of the threads of a web process may ask a remote store; nobody waits for a worker."""
    if process_kind() != ProcessKind.WEB:
        return 0
    return (int(settings.WEB_THREADS) + 1) // 2


@lru_cache(maxsize=4)
def _local(options: LocalOptions) -> WatchedStore:
    return WatchedStore(LocalStore(options))


@lru_cache(maxsize=4)
def _s3(options: S3Options, _process: int) -> WatchedStore:
    from storage.objects.s3 import S3Store  # noqa: PLC0415 - see above

    return WatchedStore(S3Store(options))


@lru_cache(maxsize=4)
def _azure(options: AzureOptions, _process: int) -> WatchedStore:
    from storage.objects.azure import AzureStore  # noqa: PLC0415 - see above

    return WatchedStore(AzureStore(options))
