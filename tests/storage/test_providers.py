"""Files through the API with each provider behind it, and providers that are set up wrongly."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest
from django.core.checks import run_checks

from odavl.wire.errors import ServiceUnavailable
from storage.configuration import object_store
from storage.models import StoredFile
from storage.objects.azure import AzureOptions, AzureStore
from storage.objects.s3 import S3Options, S3Store
from tests.cast import Api, Person
from tests.hub_process import free_port
from tests.object_servers import BUCKET, AzuriteServer, SwiftServer

WORDS = b"what was found, fixed and proved\n" * 40
SHA256 = hashlib.sha256(WORDS).hexdigest()


@pytest.fixture
def remote(request: pytest.FixtureRequest, settings) -> str:
    """The hub's objects lie in the store that the test names."""
    settings.STORAGE_PROVIDER = request.param
    if request.param == "s3":
        server: SwiftServer = request.getfixturevalue("swift")
        for name, value in server.environment().items():
            setattr(settings, name, value)
    else:
        azurite: AzuriteServer = request.getfixturevalue("azurite")
        settings.AZURE_CONTAINER = BUCKET
        settings.AZURE_CONNECTION_STRING = azurite.connection_string
    return request.param


def announce(api: Api, **fields: Any) -> dict[str, Any]:
    body = {"fileName": "notes.txt", "contentType": "text/plain", "size": len(WORDS)} | fields
    answer = api.send("POST", "/storage/upload-url", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def send(announced: dict[str, Any], data: bytes, **headers: str) -> httpx.Response:
    return httpx.put(
        announced["uploadUrl"],
        content=data,
        headers={**announced["headers"], **headers},
        trust_env=False,
    )


def settled(api: Api, file_id: str) -> dict[str, Any]:
    return api.send("GET", f"/storage/upload-url?fileId={file_id}").json()


@pytest.mark.parametrize("remote", ["s3", "azure"], indirect=True)
def test_a_file_goes_there_and_comes_back(alice: Person, remote: str):
    announced = announce(alice.api, sha256=SHA256)
    assert send(announced, WORDS).is_success
    assert settled(alice.api, announced["fileId"])["state"] == "stored"
    wanted = f"/storage/download-url?fileId={announced['fileId']}"
    url = alice.api.send("GET", wanted).json()["downloadUrl"]
    assert httpx.get(url, trust_env=False).content == WORDS
    key = StoredFile.across_organizations.get().key
    assert alice.api.send("DELETE", f"/storage/files/{announced['fileId']}").status_code == 204
    assert not object_store().exists(key)


@pytest.mark.parametrize("remote", ["s3", "azure"], indirect=True)
@pytest.mark.parametrize(
    ("data", "headers", "code"),
    [
        (WORDS + b"x", {}, "invalid_payload"),
        (WORDS[::-1], {}, "digest_mismatch"),
        (WORDS, {"Content-Type": "text/html", "x-ms-blob-content-type": "text/html"},
         "invalid_payload"),
    ],
    ids=["size", "digest", "type"],
)  # fmt: skip
def test_other_bytes_never_become_a_file(alice: Person, remote: str, data, headers, code):
    announced = announce(alice.api, sha256=SHA256)
    answer = send(announced, data, **headers)
    after = settled(alice.api, announced["fileId"])
    if remote == "s3":
        assert (answer.is_client_error, after["state"]) == (True, "pending")
    else:
        assert (after["state"], after["problem"]["code"]) == ("refused", code)
        assert not object_store().exists(StoredFile.across_organizations.get().own_key)
    wanted = f"/storage/download-url?fileId={announced['fileId']}"
    assert alice.api.send("GET", wanted).status_code == 409


@pytest.mark.parametrize("remote", ["s3", "azure"], indirect=True)
def test_parts_make_a_file_there(alice: Person, remote: str):
    data = b"0123456789abcdef" * 330_000
    body = {"fileName": "a.zip", "contentType": "application/zip", "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest()}  # fmt: skip
    begun = alice.api.send("POST", "/storage/multipart/init", body).json()
    reference = {"fileId": begun["fileId"]}
    for number in range(1, begun["parts"] + 1):
        wanted = reference | {"partNumber": number}
        part = alice.api.send("POST", "/storage/multipart/part", wanted).json()
        start = (number - 1) * begun["partSize"]
        assert send(part, data[start : start + part["size"]]).is_success
    for _ in range(2):
        done = alice.api.send("POST", "/storage/multipart/complete", reference)
        assert done.status_code == 200, done.content
        assert done.json()["state"] == "stored"


@pytest.mark.parametrize("remote", ["s3", "azure"], indirect=True)
def test_the_hub_knows_that_its_store_is_there(client, db, remote: str):
    assert client.get("/api/health").json()["storage"]["status"] == "ok"


def test_a_store_that_is_away_is_told_in_time(settings, client, db):
    settings.STORAGE_PROVIDER = "s3"
    settings.S3_ENDPOINT_URL = f"http://127.0.0.1:{free_port()}"
    settings.S3_ACCESS_KEY = settings.S3_SECRET_KEY = "nobody"
    settings.S3_REGION = "us-east-1"
    health = client.get("/api/health").json()
    assert (health["status"], health["storage"]["status"]) == ("degraded", "down")
    assert health["storage"]["durationMs"] < 30_000


def test_wrong_credentials_are_an_unavailable_store(swift: SwiftServer, azurite: AzuriteServer):
    stranger = S3Store(
        S3Options(BUCKET, swift.url, "", "us-east-1", swift.access_key, "wrong", "path")
    )
    other_key = azurite.connection_string.replace("Eby8", "Abc8")
    for store in (stranger, AzureStore(AzureOptions(other_key, BUCKET))):
        with pytest.raises(ServiceUnavailable):
            store.put("incoming/a", [b"x"])
        with pytest.raises(ServiceUnavailable):
            store.probe()


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({"STORAGE_PROVIDER": "ftp"}, ["odavl_hub.E003"]),
        ({"STORAGE_PROVIDER": "s3", "S3_ACCESS_KEY": "a"}, ["storage.E002"]),
        ({"STORAGE_PROVIDER": "s3", "S3_BUCKET": ""}, ["storage.E001"]),
        ({"STORAGE_PROVIDER": "s3", "S3_ENDPOINT_URL": "minio:9000"}, ["storage.E003"]),
        ({"STORAGE_PROVIDER": "s3", "S3_PUBLIC_ENDPOINT_URL": "x"}, ["storage.E003"]),
        ({"STORAGE_PROVIDER": "s3", "S3_ADDRESSING_STYLE": "best"}, ["storage.E004"]),
        ({"STORAGE_PROVIDER": "azure"}, ["storage.E005"]),
        ({"STORAGE_MAX_FILE_SIZE": 10**12}, ["storage.E006"]),
        ({}, []),
        ({"STORAGE_PROVIDER": "s3"}, []),
        ({"STORAGE_PROVIDER": "azure",
          "AZURE_CONNECTION_STRING": "AccountName=a;AccountKey=YQ=="}, []),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_before_the_hub_serves(settings, changes, ids):
    for name, value in changes.items():
        setattr(settings, name, value)
    found = [message.id for message in run_checks()]
    assert [
        each for each in found if each and each.startswith(("storage.", "odavl_hub.E003"))
    ] == ids
