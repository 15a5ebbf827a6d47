"""The stores that the conformance test runs against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import configuration
from storage.objects.azure import AzureOptions, AzureStore
from storage.objects.interface import ObjectStore
from storage.objects.local import LocalStore
from storage.objects.s3 import S3Options, S3Store
from tests.object_servers import BUCKET, AzuriteServer, SwiftServer, Unavailable


@pytest.fixture(scope="session")
def swift() -> Iterator[SwiftServer]:
    try:
        server = SwiftServer()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzuriteServer]:
    try:
        server = AzuriteServer()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


@pytest.fixture(params=["local", "s3", "azure"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def local_store(tmp_path: Path, live_server, settings) -> LocalStore:
    """Its signed addresses lead to a hub that serves the same folder."""
    settings.ODAVL_DATA = tmp_path
    settings.PUBLIC_URL = live_server.url
    return LocalStore(configuration.local_options())


@pytest.fixture
def s3_store(swift: SwiftServer) -> S3Store:
    return S3Store(s3_options(swift))


@pytest.fixture
def azure_store(azurite: AzuriteServer) -> AzureStore:
    return AzureStore(AzureOptions(azurite.connection_string, BUCKET))


def s3_options(server: SwiftServer, url: str = "") -> S3Options:
    return S3Options(
        bucket=BUCKET,
        endpoint=url or server.url,
        region="us-east-1",
        access_key=server.access_key,
        secret_key=server.secret_key,
        addressing="path",
    )
