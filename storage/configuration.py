"""The object store that the settings name."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from django.conf import settings

from odavl.wire.errors import ServiceUnavailable
from storage.objects.interface import ObjectStore
from storage.objects.local import LocalOptions, LocalStore

if TYPE_CHECKING:
    # Imported for good only where they are used: each costs a start more than Django does.
    from storage.objects.azure import AzureOptions
    from storage.objects.s3 import S3Options

PROVIDERS = ("local", "s3", "azure")
SIGNED_PATH = "/api/v1/storage/signed/"


def object_store() -> ObjectStore:
    """The one store of this hub; clients of remote ones are made once in a process."""
    if settings.STORAGE_PROVIDER == "local":
        return _local(local_options())
    if settings.STORAGE_PROVIDER == "s3":
        return _s3(s3_options(), os.getpid())
    if settings.STORAGE_PROVIDER == "azure":
        return _azure(azure_options(), os.getpid())
    raise ServiceUnavailable("STORAGE_PROVIDER names no store.")


def local_store() -> LocalStore | None:
    """The store where it is the local disk, whose signed addresses the hub itself serves."""
    store = object_store()
    return store if isinstance(store, LocalStore) else None


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
    )


def azure_options() -> AzureOptions:
    from storage.objects.azure import AzureOptions  # noqa: PLC0415 - see above

    return AzureOptions(
        connection_string=settings.AZURE_CONNECTION_STRING, container=settings.AZURE_CONTAINER
    )


@lru_cache(maxsize=4)
def _local(options: LocalOptions) -> LocalStore:
    return LocalStore(options)


@lru_cache(maxsize=4)
def _s3(options: S3Options, _process: int) -> ObjectStore:
    from storage.objects.s3 import S3Store  # noqa: PLC0415 - see above

    return S3Store(options)


@lru_cache(maxsize=4)
def _azure(options: AzureOptions, _process: int) -> ObjectStore:
    from storage.objects.azure import AzureStore  # noqa: PLC0415 - see above

    return AzureStore(options)
