"""Stores of a hub that can be lost as a whole and come back: for each provider, each way to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from azure.storage.blob import BlobServiceClient, ContentSettings

from tests.object_servers import AzuriteServer, SwiftServer


class LosableStore(Protocol):
    def lose(self) -> None:
        """From now on there is nothing of what the hub wrote."""

    def written_meanwhile(self) -> list[str]:
        """What lies where the store was, since it was lost."""

    def bring_back(self) -> None: ...


class Mount:
    """The folder of a local store; what was mounted there lies beside it meanwhile."""

    def __init__(self, folder: Path, *, leaves_folder: bool) -> None:
        self.folder, self.aside = folder, folder.with_name("unmounted")
        self.leaves_folder = leaves_folder

    def lose(self) -> None:
        self.folder.rename(self.aside)
        if self.leaves_folder:
            self.folder.mkdir()

    def written_meanwhile(self) -> list[str]:
        return [str(path) for path in self.folder.rglob("*")] if self.folder.exists() else []

    def bring_back(self) -> None:
        if self.leaves_folder:
            self.folder.rmdir()
        self.aside.rename(self.folder)


class NamedElsewhere:
    """The settings name another bucket or container, which is empty or is none."""

    def __init__(self, settings: Any, name: str, other: str) -> None:
        self.settings, self.name, self.other = settings, name, other
        self.own = getattr(settings, name)

    def lose(self) -> None:
        setattr(self.settings, self.name, self.other)

    def written_meanwhile(self) -> list[str]:
        return []

    def bring_back(self) -> None:
        setattr(self.settings, self.name, self.own)


class EmptiedBucket:
    def __init__(self, server: SwiftServer, bucket: str) -> None:
        self.client, self.bucket = server.client(), bucket
        self.aside: dict[str, tuple[bytes, str]] = {}

    def lose(self) -> None:
        for key in self.written_meanwhile():
            lying = self.client.get_object(Bucket=self.bucket, Key=key)
            self.aside[key] = lying["Body"].read(), lying["ContentType"]
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def written_meanwhile(self) -> list[str]:
        page = self.client.list_objects_v2(Bucket=self.bucket)
        return [each["Key"] for each in page.get("Contents", [])]

    def bring_back(self) -> None:
        for key, (data, kind) in self.aside.items():
            self.client.put_object(Bucket=self.bucket, Key=key, Body=data, ContentType=kind)


class EmptiedContainer:
    def __init__(self, server: AzuriteServer, container: str) -> None:
        service = BlobServiceClient.from_connection_string(server.connection_string)
        self.container = service.get_container_client(container)
        self.aside: dict[str, tuple[bytes, ContentSettings]] = {}

    def lose(self) -> None:
        for name in self.written_meanwhile():
            lying = self.container.download_blob(name)
            self.aside[name] = lying.readall(), lying.properties.content_settings
            self.container.delete_blob(name)

    def written_meanwhile(self) -> list[str]:
        return [blob.name for blob in self.container.list_blobs()]

    def bring_back(self) -> None:
        for name, (data, settings) in self.aside.items():
            self.container.upload_blob(
                name, data, content_settings=ContentSettings(content_type=settings.content_type)
            )


def new_bucket(server: SwiftServer) -> str:
    name = f"odavl-{uuid4()}"
    server.client().create_bucket(Bucket=name)
    return name


def new_container(server: AzuriteServer) -> str:
    name = f"odavl-{uuid4()}"
    BlobServiceClient.from_connection_string(server.connection_string).create_container(name)
    return name
