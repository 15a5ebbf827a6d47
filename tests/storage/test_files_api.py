"""Files over the API, from the announcement to the last byte deleted."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from accounts.models import Project
from accounts.services import create_api_key
from storage.collecting import cleaning
from storage.configuration import object_store
from storage.models import FileState, StoredFile
from storage.objects import tickets
from tests.cast import Api, Person

PICTURE = b"\x89PNG\r\n" + bytes(range(256)) * 40
SHA256 = hashlib.sha256(PICTURE).hexdigest()


def announce(api: Api, **fields: Any) -> Any:
    body = {"fileName": "home.png", "contentType": "image/png", "size": len(PICTURE)} | fields
    return api.send("POST", "/storage/upload-url", body)


def send(announced: dict[str, Any], data: bytes = PICTURE, **headers: str) -> Any:
    """The bytes to the address that was given, without any key."""
    parts = urlsplit(announced["uploadUrl"])
    sent = {name: value for name, value in announced["headers"].items() if name != "Content-Type"}
    media_type = headers.pop("content_type", announced["headers"].get("Content-Type", ""))
    return Api(None).put(parts.path, data, content_type=media_type, headers=sent | headers)


def settled(api: Api, file_id: str) -> dict[str, Any]:
    answer = api.send("GET", f"/storage/upload-url?fileId={file_id}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def stored(api: Api, data: bytes = PICTURE, **fields: Any) -> str:
    """The id of a file that has been uploaded and checked."""
    announced = announce(api, size=len(data), **fields).json()
    assert send(announced, data).status_code == 201
    assert settled(api, announced["fileId"])["state"] == "stored"
    return announced["fileId"]


def fetch(api: Api, file_id: str, **headers: str) -> Any:
    answer = api.send("GET", f"/storage/download-url?fileId={file_id}")
    assert answer.status_code == 200, answer.content
    return Api(None).get(urlsplit(answer.json()["downloadUrl"]).path, headers=headers)


def test_what_is_uploaded_comes_back_whole(alice: Person):
    announced = announce(alice.api, sha256=SHA256, access="PRIVATE", type="screenshot")
    assert announced.status_code == 201
    assert set(announced.json()) == {
        "fileId", "state", "fileUrl", "uploadUrl", "method", "headers", "expiresAt", "problem",
    }  # fmt: skip
    assert announced.json()["method"] == "PUT"
    file_id = announced.json()["fileId"]
    assert settled(alice.api, file_id)["state"] == "pending"
    assert send(announced.json()).status_code == 201
    after = settled(alice.api, file_id)
    assert (after["state"], after["uploadUrl"]) == ("stored", None)
    got = fetch(alice.api, file_id)
    assert b"".join(got.streaming_content) == PICTURE
    assert got["Content-Type"] == "image/png"
    assert got["Content-Disposition"] == 'attachment; filename="home.png"'
    assert "sandbox" in got["Content-Security-Policy"]
    described = alice.api.send("GET", f"/storage/files/{file_id}").json()
    assert (described["sha256"], described["downloads"]) == (SHA256, 1)


def test_a_part_of_a_file_can_be_fetched(alice: Person):
    file_id = stored(alice.api)
    part = fetch(alice.api, file_id, Range="bytes=100-199")
    assert (part.status_code, b"".join(part.streaming_content)) == (206, PICTURE[100:200])
    assert part["Content-Range"] == f"bytes 100-199/{len(PICTURE)}"
    rest = fetch(alice.api, file_id, Range="bytes=10000-")
    assert b"".join(rest.streaming_content) == PICTURE[10000:]
    assert fetch(alice.api, file_id, Range="bytes=999999-").json()["status"] == 416
    odd = fetch(alice.api, file_id, Range="bytes=5-1")
    assert (odd.status_code, b"".join(odd.streaming_content)) == (200, PICTURE)


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (PICTURE + b"x", {}, 413, "payload_too_large"),
        (PICTURE[:-1], {}, 422, "invalid_payload"),
        (PICTURE[::-1], {}, 422, "digest_mismatch"),
        (PICTURE, {"content_type": "text/html"}, 415, "unsupported_media_type"),
        (PICTURE, {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
    ],
)
def test_other_bytes_than_announced_are_refused(alice: Person, data, headers, status, code):
    announced = announce(alice.api, sha256=SHA256).json()
    answer = send(announced, data, **headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert settled(alice.api, announced["fileId"])["state"] == "pending"
    assert send(announced).status_code == 201


def test_an_expired_address_is_refused_and_a_new_one_given(alice: Person, monkeypatch):
    announced = announce(alice.api, expiresIn=60).json()
    later = tickets.Sealer.read
    monkeypatch.setattr(
        tickets.Sealer, "read", lambda self, text, *, now: later(self, text, now=now + 61)
    )
    answer = send(announced)
    assert (answer.status_code, answer.json()["code"]) == (403, "signed_url_expired")
    assert answer.json()["retryable"] is True
    renewed = settled(alice.api, announced["fileId"])
    assert renewed["uploadUrl"] != announced["uploadUrl"]
    assert send(renewed).status_code == 201


def test_an_address_is_good_for_what_it_was_given_for(alice: Person):
    announced = announce(alice.api).json()
    path = urlsplit(announced["uploadUrl"]).path
    assert Api(None).get(path).json()["code"] == "signed_url_refused"
    body, _, signature = path.rpartition(".")
    forged = f"{body[:-1]}{'A' if body[-1] != 'A' else 'B'}.{signature}"
    for other in (forged, f"{body}.{signature[::-1]}", f"{body}.ü", "/api/v1/storage/signed/x"):
        answer = Api(None).put(other, PICTURE, content_type="image/png")
        assert (answer.status_code, answer.json()["code"]) == (403, "signed_url_refused")
    assert send(announced).status_code == 201
    settled(alice.api, announced["fileId"])
    again = send(announced, PICTURE[::-1])
    assert (again.status_code, again.json()["code"]) == (403, "signed_url_refused")
    assert b"".join(fetch(alice.api, announced["fileId"]).streaming_content) == PICTURE


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"contentType": "image/svg+xml"}, 415, "unsupported_media_type"),
        ({"size": 100 * 1024 * 1024 + 1}, 413, "payload_too_large"),
        ({"size": 0}, 422, "invalid_payload"),
        ({"expiresIn": 59}, 422, "invalid_payload"),
        ({"expiresIn": 3601}, 422, "invalid_payload"),
        ({"sha256": "ABC"}, 422, "invalid_payload"),
        ({"access": "EVERYONE"}, 422, "invalid_payload"),
        ({"access": "PROJECT"}, 422, "invalid_payload"),
        ({"projectId": "nowhere"}, 404, "not_found"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, 422, "invalid_payload"),
        ({"expiresAt": "tomorrow"}, 422, "invalid_payload"),
        # The year 10000 in UTC, which PostgreSQL takes and Python cannot read back.
        ({"expiresAt": "9999-12-31T23:59:59-14:00"}, 422, "invalid_payload"),
        ({"expiresAt": "0001-01-01T00:00:00+14:00"}, 422, "invalid_payload"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once(alice: Person, fields, status, code):
    answer = announce(alice.api, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert StoredFile.across_organizations.count() == 0


def test_the_same_idempotency_key_announces_one_file(alice: Person):
    body = {"fileName": "a.txt", "contentType": "text/plain", "size": 3}
    headers = {"Idempotency-Key": "once"}
    first, second = (
        alice.api.send("POST", "/storage/upload-url", body, **headers) for _ in range(2)
    )
    assert first.json() == second.json()
    assert second["Idempotent-Replayed"] == "true"
    assert StoredFile.across_organizations.count() == 1


def test_a_file_is_uploaded_in_parts(alice: Person):
    data = b"0123456789abcdef" * 400_000  # 6.4 MB: one whole part and a rest
    body = {"fileName": "big.zip", "contentType": "application/zip", "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest()}  # fmt: skip
    begun = alice.api.send("POST", "/storage/multipart/init", body).json()
    assert (begun["parts"], begun["partSize"]) == (2, 5 * 1024 * 1024)
    reference = {"fileId": begun["fileId"]}
    cut = [data[: begun["partSize"]], data[begun["partSize"] :]]
    for number in (2, 1):
        early = alice.api.send("POST", "/storage/multipart/complete", reference)
        assert (early.status_code, early.json()["code"]) == (409, "conflict")
        part = alice.api.send(
            "POST", "/storage/multipart/part", reference | {"partNumber": number}
        ).json()
        assert part["size"] == len(cut[number - 1])
        assert send(part, cut[number - 1] + b"x").status_code == 413
        assert send(part, cut[number - 1]).status_code == 201
    none = alice.api.send("POST", "/storage/multipart/part", reference | {"partNumber": 3})
    assert none.status_code == 422
    for _ in range(2):
        done = alice.api.send("POST", "/storage/multipart/complete", reference)
        assert (done.status_code, done.json()["state"]) == (200, "stored")
    assert b"".join(fetch(alice.api, begun["fileId"]).streaming_content) == data
    late = alice.api.send("POST", "/storage/multipart/abort", reference)
    assert late.status_code == 409


def test_an_aborted_upload_leaves_nothing(alice: Person):
    body = {"fileName": "big.zip", "contentType": "application/zip", "size": 10}
    begun = alice.api.send("POST", "/storage/multipart/init", body).json()
    reference = {"fileId": begun["fileId"]}
    part = alice.api.send("POST", "/storage/multipart/part", reference | {"partNumber": 1}).json()
    assert send(part, b"0123456789").status_code == 201
    assert alice.api.send("POST", "/storage/multipart/abort", reference).status_code == 204
    assert send(part, b"0123456789").json()["code"] == "signed_url_refused"
    assert StoredFile.across_organizations.count() == 0


def test_a_stranger_sees_nothing(alice: Person, charlie: Person):
    file_id = stored(alice.api)
    for method, path in (
        ("GET", f"/storage/files/{file_id}"),
        ("DELETE", f"/storage/files/{file_id}"),
        ("GET", f"/storage/download-url?fileId={file_id}"),
        ("GET", f"/storage/upload-url?fileId={file_id}"),
        ("GET", f"/storage/public/{file_id}"),
    ):
        answer = charlie.api.send(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert charlie.api.send("GET", "/storage/files").json()["items"] == []
    assert charlie.api.send("GET", "/storage/stats").json()["files"] == 0


def names_seen_by(api: Api) -> set[str]:
    return {item["name"] for item in api.send("GET", "/storage/files").json()["items"]}


def test_access_says_who_sees_a_file(alice: Person, bob: Person, website: Project):
    for access in ("PUBLIC", "ORGANIZATION", "PRIVATE"):
        stored(alice.api, fileName=f"alice-{access}", access=access)
    stored(bob.api, fileName="bob-PRIVATE", access="PRIVATE")
    stored(alice.api, fileName="website", access="PROJECT", projectId="website")
    assert names_seen_by(bob.api) == {
        "alice-PUBLIC", "alice-ORGANIZATION", "bob-PRIVATE", "website",
    }  # fmt: skip
    assert len(names_seen_by(alice.api)) == 5, "who administers storage must see what is in it"
    _, token = create_api_key(
        by=alice.principal, name="other", scopes=("storage:write",),
        project=Project.objects.for_organization(alice.organization).create(
            organization=alice.organization, slug="app", name="App"),
    )  # fmt: skip
    assert "website" not in names_seen_by(Api(token))
    assert "alice-ORGANIZATION" in names_seen_by(Api(token))


def test_a_public_file_needs_no_key(alice: Person, anonymous: Api):
    file_id = stored(alice.api, access="PUBLIC")
    url = alice.api.send("GET", f"/storage/files/{file_id}").json()["url"]
    answer = anonymous.get(urlsplit(url).path)
    assert answer.status_code == 302
    got = anonymous.get(urlsplit(answer["Location"]).path)
    assert b"".join(got.streaming_content) == PICTURE


def test_scopes_are_asked_for(alice: Person):
    file_id = stored(alice.api)
    _, token = create_api_key(by=alice.principal, name="reader", scopes=("storage:read",))
    reader = Api(token)
    assert reader.send("GET", f"/storage/download-url?fileId={file_id}").status_code == 200
    for method, path in (
        ("DELETE", f"/storage/files/{file_id}"),
        ("GET", f"/storage/upload-url?fileId={file_id}"),
    ):
        assert reader.send(method, path).json()["code"] == "missing_scope"
    assert announce(reader).json()["code"] == "missing_scope"


def test_other_peoples_files_are_deleted_by_who_administers_storage(alice: Person, bob: Person):
    alices, bobs = stored(alice.api), stored(bob.api, b"Bob's", contentType="text/plain")
    refused = bob.api.send("DELETE", f"/storage/files/{alices}")
    assert refused.json()["code"] == "missing_scope"
    assert bob.api.send("DELETE", f"/storage/files/{bobs}").status_code == 204
    assert bob.api.send("GET", f"/storage/files/{bobs}").status_code == 404
    assert alice.api.send("DELETE", f"/storage/files/{alices}").status_code == 204
    audit = alice.api.send("GET", "/audit?action=file.deleted").json()
    assert [event["target"] for event in audit["items"]] == ["home.png", "home.png"]


def test_only_who_announced_a_file_gives_it_its_bytes(alice: Person, bob: Person):
    announced = announce(alice.api).json()
    told = settled(bob.api, announced["fileId"])
    assert (told["state"], told["uploadUrl"]) == ("pending", None)
    body = {"fileName": "big.zip", "contentType": "application/zip", "size": 10}
    begun = alice.api.send("POST", "/storage/multipart/init", body).json()
    reference = {"fileId": begun["fileId"]}
    for step, fields in (("part", {"partNumber": 1}), ("complete", {}), ("abort", {})):
        answer = bob.api.send("POST", f"/storage/multipart/{step}", reference | fields)
        assert answer.json()["code"] == "missing_scope", step
    theirs = announce(bob.api).json()
    assert settled(alice.api, theirs["fileId"])["uploadUrl"], "she administers the storage"


def test_equal_files_share_one_object_until_the_last_is_deleted(alice: Person):
    first, second = stored(alice.api), stored(alice.api, fileName="again.png")
    keys = set(StoredFile.across_organizations.values_list("key", flat=True))
    assert len(keys) == 1
    stats = alice.api.send("GET", "/storage/stats").json()
    assert (stats["files"], stats["bytes"]) == (2, 2 * len(PICTURE))
    assert stats["storedBytes"] == len(PICTURE)
    page = alice.page().get("/en/acme/storage/").content.decode().replace("\xa0", " ")
    assert "10.0 KB saved: equal files are kept once" in page
    assert alice.api.send("DELETE", f"/storage/files/{first}").status_code == 204
    assert b"".join(fetch(alice.api, second).streaming_content) == PICTURE
    assert alice.api.send("DELETE", f"/storage/files/{second}").status_code == 204
    assert not object_store().exists(keys.pop())


def test_files_are_listed_filtered_and_counted(alice: Person):
    stored(alice.api, product="guardian", type="screenshot")
    stored(alice.api, b"a,b", fileName="table.csv", contentType="text/csv")
    stored(alice.api, b"plain", fileName="notes.txt", contentType="text/plain")
    announce(alice.api, fileName="never-sent.png")

    def found(query: str) -> list[str]:
        items = alice.api.send("GET", f"/storage/files?{query}").json()["items"]
        return [item["name"] for item in items]

    assert found("sort=name") == ["home.png", "never-sent.png", "notes.txt", "table.csv"]
    assert found("contentType=text/&sort=name") == ["notes.txt", "table.csv"]
    assert found("contentType=image/png&state=stored") == ["home.png"]
    assert found("product=guardian") == found("type=screenshot") == ["home.png"]
    assert found("q=TABLE") == ["table.csv"]
    assert found("sort=-size&state=stored")[0] == "home.png"
    page = alice.api.send("GET", "/storage/files?limit=3").json()
    assert (len(page["items"]), page["total"]) == (3, 4)
    rest = alice.api.send("GET", f"/storage/files?limit=3&cursor={page['next']}").json()
    assert len(rest["items"]) == 1
    assert alice.api.send("GET", "/storage/files?sort=colour").status_code == 400
    stats = alice.api.send("GET", "/storage/stats").json()
    by_type = {each["name"]: each["files"] for each in stats["byContentType"]}
    assert by_type == {"image/png": 1, "text/csv": 1, "text/plain": 1}
    by_product = {each["name"]: each["files"] for each in stats["byProduct"]}
    assert by_product == {"guardian": 1, "": 2}


def test_expired_files_go_and_so_do_their_bytes(alice: Person):
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    file_id = stored(alice.api, expiresAt=soon)
    rows = StoredFile.across_organizations.filter(pk=file_id)
    key = rows.get().key
    cleaning.clean_up()
    assert object_store().exists(key)
    rows.update(expires_at=timezone.now())
    assert alice.api.send("GET", f"/storage/files/{file_id}").status_code == 404
    assert cleaning.clean_up() == 1
    assert not rows.exists()
    assert not object_store().exists(key)


def test_clean_up_keeps_what_arrived_and_drops_what_did_not(alice: Person):
    arrived, nothing = announce(alice.api).json(), announce(alice.api, fileName="x.png").json()
    assert send(arrived).status_code == 201
    rows = StoredFile.across_organizations
    assert cleaning.clean_up() == 0, "their addresses are still good"
    rows.update(upload_until=timezone.now() - timedelta(hours=1))
    assert cleaning.clean_up() == 1
    assert rows.filter(pk=arrived["fileId"], state=FileState.STORED).exists()
    assert not rows.filter(pk=nothing["fileId"]).exists()
    assert cleaning.clean_up() == 0


def test_an_upload_that_is_not_what_was_announced_is_refused_however_it_came(alice: Person):
    """Stores whose addresses bind nothing (Azure) are checked by the hub."""
    announced = announce(alice.api, sha256=SHA256).json()
    file = StoredFile.across_organizations.get()
    object_store().put(file.incoming, [PICTURE[::-1]])
    answer = settled(alice.api, announced["fileId"])
    assert (answer["state"], answer["problem"]["code"]) == ("refused", "digest_mismatch")
    assert not object_store().exists(file.own_key)
    refused = alice.api.send("GET", f"/storage/download-url?fileId={announced['fileId']}")
    assert refused.status_code == 409
    StoredFile.across_organizations.update(upload_until=timezone.now() - timedelta(days=2))
    assert cleaning.clean_up() == 1
