"""One promise, three stores: the local disk, S3 and Azure Blob, each as it really runs."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from storage.files import Announced, announce
from storage.objects.interface import (
    MARKS,
    PART_SIZE,
    Listed,
    ObjectMissing,
    ObjectStore,
    SignedRequest,
    UploadTerms,
    check_key,
)
from tests.cast import Person

WORDS = b"what was found, fixed and proved\n" * 40
DIGEST = hashlib.sha256(WORDS).hexdigest()
FIVE_MEBIBYTES = 5 * 1024 * 1024


def new_key(beginning: str = "incoming") -> str:
    return f"{beginning}/{uuid4()}"


def whole(store: ObjectStore, key: str) -> bytes:
    return b"".join(store.pieces(key))


def send(signed: SignedRequest, data: bytes, **headers: str) -> httpx.Response:
    return httpx.request(
        signed.method,
        signed.url,
        content=data,
        headers={**signed.headers, **headers},
        trust_env=False,
        timeout=300,
    )


@pytest.fixture
def expected(store: ObjectStore, alice: Person) -> str:
    """A key that bytes are expected at (the hub's own addresses take none for others)."""
    file, _ = announce(
        by=alice.principal, file=Announced("a.txt", "text/plain", len(WORDS)), seconds=60
    )
    return file.incoming


def test_what_is_put_is_read_back(store):
    key = new_key()
    assert store.put(key, [WORDS[:100], b"", WORDS[100:]], content_type="text/plain") == len(WORDS)
    assert whole(store, key) == WORDS
    assert store.exists(key)
    assert store.size(key) == store.facts(key).size == len(WORDS)
    assert store.facts(key).content_type in ("text/plain", "")
    assert b"".join(store.pieces(key, start=7, length=20)) == WORDS[7:27]
    assert b"".join(store.pieces(key, start=len(WORDS) - 3)) == WORDS[-3:]
    assert b"".join(store.pieces(key, start=len(WORDS) - 3, length=99)) == WORDS[-3:]


def test_nothing_is_an_object_too(store):
    key = new_key()
    assert store.put(key, []) == 0
    assert (whole(store, key), store.size(key)) == (b"", 0)


def test_the_same_key_again_replaces(store):
    key = new_key()
    store.put(key, [b"first, and longer"])
    store.put(key, [b"second"])
    assert whole(store, key) == b"second"


def test_a_large_object_travels_in_parts(store):
    key, piece = new_key(), WORDS * 800
    pieces = [piece] * (2 * PART_SIZE // len(piece) + 2)
    size = store.put(key, pieces)
    assert size == len(piece) * len(pieces) > 2 * PART_SIZE
    found, wanted = hashlib.sha256(), hashlib.sha256()
    for data in store.pieces(key):
        found.update(data)
    for data in pieces:
        wanted.update(data)
    assert found.digest() == wanted.digest()
    middle = b"".join(store.pieces(key, start=PART_SIZE - 5, length=10))
    assert middle == (piece * 400)[PART_SIZE - 5 : PART_SIZE + 5]


@pytest.mark.parametrize("before", [10, PART_SIZE + 10])
def test_what_breaks_off_leaves_nothing(store, before):
    def breaking():
        yield bytes(before)
        raise RuntimeError("the client is gone")

    key = new_key()
    with pytest.raises(RuntimeError):
        store.put(key, breaking())
    assert not store.exists(key)


def test_what_is_staged_is_there_once_it_is_published(store):
    key = new_key()
    with store.stage([WORDS[:100], WORDS[100:]]) as staged:
        assert staged.size == len(WORDS)
        assert not store.exists(key)
        staged.publish(key, content_type="text/plain")
    assert whole(store, key) == WORDS


def test_what_is_staged_and_not_published_leaves_nothing(store):
    key = new_key()
    with store.stage([WORDS]):
        assert not store.exists(key)
    assert not store.exists(key)

    def breaking():
        yield WORDS
        raise OSError("the client is gone")

    # The trouble is the client's, and is not told as the store's.
    with pytest.raises(OSError, match="the client"), store.stage(breaking()):
        raise AssertionError("staged what never came whole")


def test_what_is_not_there_is_told(store):
    key = new_key()
    assert not store.exists(key)
    for ask in (store.facts, store.size, store.pieces):
        with pytest.raises(ObjectMissing):
            ask(key)
    store.delete(key)
    with pytest.raises(ObjectMissing):
        store.move(key, new_key())


def test_what_is_deleted_is_gone(store):
    key = new_key()
    store.put(key, [WORDS])
    store.delete(key)
    store.delete(key)
    assert not store.exists(key)


def test_moving_twice_is_moving_once(store):
    source, target = new_key(), new_key("kept")
    store.put(source, [WORDS], content_type="text/plain")
    store.move(source, target)
    store.move(source, target)
    assert not store.exists(source)
    assert whole(store, target) == WORDS
    assert store.facts(target).content_type in ("text/plain", "")


def test_eight_at_once_end_as_one_object(store):
    key = new_key()
    bodies = [bytes([65 + number]) * 300_000 for number in range(8)]
    threads = [threading.Thread(target=store.put, args=(key, [body])) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole(store, key) in bodies


def walked(store: ObjectStore, prefix: str, at_most: int) -> list[Listed]:
    found: list[Listed] = []
    page = store.listing(prefix=prefix, at_most=at_most)
    while True:
        assert len(page.objects) <= at_most
        found += page.objects
        if not page.next:
            return found
        page = store.listing(prefix=prefix, cursor=page.next, at_most=at_most)


def test_everything_is_listed_once_page_by_page(store):
    home = f"list-{uuid4()}"
    keys = [f"{home}/{name}" for name in ("a-b/c", "a/b", "a/b-c/d", "a0", "b/1", "b/10", "b/2")]
    before = datetime.now(UTC) - timedelta(seconds=2)
    for key in keys:
        store.put(key, [key.encode()])
    for at_most in (1, 2, 3, 1000):
        found = walked(store, home, at_most)
        assert sorted(each.key for each in found) == sorted(keys)
    assert {each.key: each.size for each in found} == {key: len(key) for key in keys}
    assert all(before <= each.modified_at <= datetime.now(UTC) + timedelta(seconds=2)
               for each in found)  # fmt: skip
    assert [each.key for each in walked(store, f"{home}/b/1", 1)] == [f"{home}/b/1", f"{home}/b/10"]
    assert walked(store, f"{home}/nothing", 5) == []


def test_what_goes_during_a_walk_makes_nobody_skip_the_rest(store):
    home = f"list-{uuid4()}"
    keys = [f"{home}/{number:02}" for number in range(12)]
    for key in keys:
        store.put(key, [b"1"])
    seen: list[str] = []
    page = store.listing(prefix=home, at_most=5)
    while True:
        for each in page.objects:
            seen.append(each.key)
            store.delete(each.key)
        if not page.next:
            break
        page = store.listing(prefix=home, cursor=page.next, at_most=5)
    assert seen == keys


def test_a_mark_is_found_again_and_is_no_object(store):
    names = [uuid4().hex for _ in range(3)]
    for name in names:
        assert not store.has_mark(name)
        store.mark(name)
        store.mark(name)
    assert all(store.has_mark(name) for name in names)
    assert walked(store, MARKS, 2) == []
    assert not [each for each in walked(store, "", 1000) if each.key.startswith(".")]


def test_a_half_written_object_is_in_no_listing(store, expected):
    upload_id = store.start_multipart(expected, content_type="application/zip")
    signed = store.sign_part(expected, upload_id, 1, size=4, seconds=60)
    assert send(signed, b"1234").is_success
    assert walked(store, expected, 10) == []
    lying = [each for each in store.unfinished() if each.upload_id == upload_id]
    if store.name == "azure":
        assert lying == [], "it lets them go by itself"
    else:
        assert len(lying) == 1
        assert lying[0].key in (expected, "")
        assert datetime.now(UTC) - lying[0].started_at < timedelta(minutes=1)
    store.abort_multipart(expected, upload_id)
    assert upload_id not in {each.upload_id for each in store.unfinished()}


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "../a", "a/../b", "a/.b", ".a", "a/", "a\\b", "ä", "a\x00", "a" * 501]
)
def test_a_key_that_is_no_plain_path_is_refused(store, key):
    with pytest.raises(ValueError, match="no key"):
        store.put(key, [b""])
    with pytest.raises(ValueError, match="no key"):
        check_key(key)


def test_a_signed_upload_takes_what_it_was_signed_for(store, expected):
    terms = UploadTerms(len(WORDS), "text/plain", DIGEST)
    signed = store.sign_upload(expected, terms, seconds=60)
    assert timedelta(0) < signed.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert send(signed, WORDS).status_code in (200, 201)
    assert whole(store, expected) == WORDS
    assert store.facts(expected).content_type in ("text/plain", "")


def test_a_signed_upload_takes_nothing_else(store, expected):
    signed = store.sign_upload(expected, UploadTerms(len(WORDS), "text/plain", DIGEST), seconds=60)
    wrong = {
        "size": (WORDS + b"x", {}),
        "type": (WORDS, {"Content-Type": "text/html"}),
        "digest": (WORDS[::-1], {}),
    }
    for term, (data, headers) in wrong.items():
        answer = send(signed, data, **headers)
        assert answer.is_client_error == (term in store.binds), f"{term}: {answer.text}"
    assert store.exists(expected) == (store.binds != {"size", "type", "digest"})


def test_a_signed_address_is_for_one_key_and_one_method(store, expected):
    signed = store.sign_upload(expected, UploadTerms(len(WORDS), "text/plain"), seconds=60)
    *_, name = expected.split("/")
    other = signed.url.replace(name, str(uuid4()))
    if other == signed.url:  # The local store's ticket hides the key.
        other = signed.url[:-6] + ("AAAAAA" if not signed.url.endswith("AAAAAA") else "BBBBBB")
    assert send(SignedRequest(other, "PUT", signed.expires_at, signed.headers), WORDS).is_error
    assert send(SignedRequest(signed.url, "DELETE", signed.expires_at), b"").is_error
    assert not store.exists(expected)


def test_a_signed_address_expires(store, expected):
    store.put(expected, [WORDS])
    upload = store.sign_upload(expected, UploadTerms(3, "text/plain"), seconds=1)
    download = store.sign_download(
        expected, file_name="a.txt", content_type="text/plain", seconds=1
    )
    over = threading.Event()
    over.wait((download.expires_at - datetime.now(UTC)).total_seconds() + 1.1)
    assert httpx.get(download.url, trust_env=False).status_code == 403
    assert send(upload, b"new").status_code == 403
    assert whole(store, expected) == WORDS


def test_a_signed_download_gives_the_bytes_under_their_name(store, expected):
    store.put(expected, [WORDS], content_type="application/octet-stream")
    signed = store.sign_download(
        expected, file_name="Büro 5%.txt", content_type="text/plain", seconds=60
    )
    assert signed.method == "GET"
    answer = httpx.get(signed.url, trust_env=False)
    assert (answer.status_code, answer.content) == (200, WORDS)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "filename*=UTF-8''B%C3%BCro%205%25.txt" in answer.headers["Content-Disposition"]
    part = httpx.get(signed.url, headers={"Range": "bytes=5-9"}, trust_env=False)
    assert (part.status_code, part.content) == (206, WORDS[5:10])


def test_an_object_is_made_of_parts_that_come_in_any_order(store, expected):
    upload_id = store.start_multipart(expected, content_type="application/zip")
    first, second = bytes(range(256)) * (FIVE_MEBIBYTES // 256), b"the rest"
    for number, data in ((2, second), (1, b"x" * len(first)), (1, first)):
        signed = store.sign_part(expected, upload_id, number, size=len(data), seconds=60)
        assert send(signed, data).status_code in (200, 201)
    parts = store.parts(expected, upload_id)
    assert [(part.number, part.size) for part in parts] == [(1, len(first)), (2, len(second))]
    assert not store.exists(expected)
    store.complete_multipart(expected, upload_id, parts)
    assert whole(store, expected) == first + second
    assert store.facts(expected).content_type in ("application/zip", "")
    store.move(expected, target := new_key("kept"))
    assert whole(store, target) == first + second


def test_a_signed_part_has_its_size(store, expected):
    upload_id = store.start_multipart(expected, content_type="application/zip")
    signed = store.sign_part(expected, upload_id, 1, size=4, seconds=60)
    assert send(signed, b"12345").is_client_error == ("size" in store.binds)
    store.abort_multipart(expected, upload_id)


def test_an_aborted_upload_in_parts_leaves_nothing(store, expected):
    upload_id = store.start_multipart(expected, content_type="application/zip")
    signed = store.sign_part(expected, upload_id, 1, size=4, seconds=60)
    assert send(signed, b"1234").is_success
    store.abort_multipart(expected, upload_id)
    store.abort_multipart(expected, upload_id)
    assert not store.exists(expected)
    with suppress(ObjectMissing):
        assert store.parts(expected, upload_id) == []


def test_it_tells_that_it_is_there(store):
    store.probe()
