"""A store that is not there as a whole is away; what it holds is neither lost nor swept."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from odavl.wire.errors import BytesMissing, ServiceUnavailable
from storage import configuration, files
from storage.collecting import cleaning, sweeping, verifying
from storage.configuration import object_store
from storage.files import Announced, announce
from storage.models import FileState, StoredFile, StoredObject, StoreMark, Walk
from storage.objects.interface import MARKS
from storage.presence import Presence
from storage.services import read
from tests.cast import Person
from tests.storage.collecting.test_sweeping import kept, large, rolled_back, sweep_all, uploaded
from tests.storage.stores_lost import (
    EmptiedBucket,
    EmptiedContainer,
    LosableStore,
    Mount,
    NamedElsewhere,
    new_bucket,
    new_container,
)

pytestmark = pytest.mark.django_db(transaction=True)

WAYS = {
    "local": ("empty mount point", "no mount point"),
    "s3": ("emptied", "another", "none of that name"),
    "azure": ("emptied", "another", "none of that name"),
}


@pytest.fixture(
    params=[(provider, way) for provider, ways in WAYS.items() for way in ways],
    ids=lambda each: "-".join(each).replace(" ", "-"),
)
def place(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> LosableStore:
    provider, way = request.param
    settings.STORAGE_PROVIDER = provider
    settings.ODAVL_DATA = tmp_path
    if provider == "local":
        return Mount(tmp_path / "objects", leaves_folder=way == "empty mount point")
    if provider == "s3":
        swift = request.getfixturevalue("swift")
        for name, value in swift.environment().items():
            setattr(settings, name, value)
        settings.S3_BUCKET = new_bucket(swift)
        if way == "emptied":
            return EmptiedBucket(swift, settings.S3_BUCKET)
        other = new_bucket(swift) if way == "another" else "odavl-none-of-that-name"
        return NamedElsewhere(settings, "S3_BUCKET", other)
    azurite = request.getfixturevalue("azurite")
    settings.AZURE_CONNECTION_STRING = azurite.connection_string
    settings.AZURE_CONTAINER = new_container(azurite)
    if way == "emptied":
        return EmptiedContainer(azurite, settings.AZURE_CONTAINER)
    other = new_container(azurite) if way == "another" else "odavl-none-of-that-name"
    return NamedElsewhere(settings, "AZURE_CONTAINER", other)


def sent(person: Person, body: bytes) -> Any:
    """The answer to one payload that is too large for a row."""
    metadata = urlsafe_b64encode(b'{"projectName":"shop","branch":"main"}').decode()
    headers = {"X-Odavl-Type": "ml-training", "X-Odavl-Metadata": metadata}
    return person.api.post(
        "/api/v1/upload/insight", body, content_type="application/octet-stream", headers=headers
    )


def document(number: int) -> bytes:
    return b'{"version":1,"diagnostics":{},"more":"%s"}' % large(b"%d" % number).hex().encode()


def walk_both() -> tuple[int, int]:
    """What is swept and what is found missing in whole walks."""
    swept = sweep_all()
    return swept, verifying.verify(seconds=60).missing


def test_what_cannot_be_read_is_not_lost(place: LosableStore, alice: Person) -> None:
    stored, file = kept(alice.organization, large()), uploaded(alice, b"words")
    place.lose()
    with pytest.raises(ServiceUnavailable, match=r"is it mounted|no such container"):
        read(stored)
    assert walk_both() == (0, 0)
    assert verifying.count_missing() == 0
    assert not Walk.objects.filter(finished_at__isnull=False).exists(), "both walks are yet to come"
    with pytest.raises(CommandError, match="cannot be asked"):
        call_command("storage_check", stdout=StringIO())
    assert verifying.count_missing() == 0
    place.bring_back()
    assert read(stored)
    assert object_store().size(file.key) == 5
    assert walk_both() == (0, 0)
    assert Walk.objects.filter(finished_at__isnull=False).count() == 2


def test_nothing_is_written_where_it_was(place: LosableStore, alice: Person, client: Any) -> None:
    assert sent(alice, document(1)).status_code == 201
    first = StoredObject.across_organizations.get()
    place.lose()
    with pytest.raises(ServiceUnavailable):
        read(first)
    for number in (1, 2):
        # What is known is not written again, nor is it asked for.
        answer = sent(alice, document(2 * number))
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    with pytest.raises(ServiceUnavailable):
        object_store().start_multipart("a/b", content_type="text/plain")
    assert place.written_meanwhile() == []
    assert StoredObject.across_organizations.count() == 1
    storage = client.get("/api/health").json()["storage"]
    assert storage["status"] == "down"
    place.bring_back()
    assert client.get("/api/health").json()["storage"]["status"] == "ok"
    assert sent(alice, document(3)).status_code == 201


def test_what_arrived_and_what_expired_waits(
    place: LosableStore, alice: Person, settings: Any
) -> None:
    """The clean-up drops no row of a file whose bytes it cannot see."""
    announced = Announced("a.txt", "text/plain", 5)
    file, _ = announce(by=alice.principal, file=announced, seconds=60)
    object_store().put(file.incoming, [b"words"], content_type="text/plain")
    orphan = rolled_back(alice.organization, large())
    settings.STORAGE_GRACE_HOURS = -1
    place.lose()
    StoredFile.across_organizations.update(upload_until=timezone.now() - timedelta(days=1))
    with pytest.raises(ServiceUnavailable):
        files.settle(file)
    cleaning.clean_up()
    assert sweeping.sweep(seconds=60) == 0
    assert StoredFile.across_organizations.get().state == FileState.PENDING
    place.bring_back()
    cleaning.clean_up()
    assert StoredFile.across_organizations.get().state == FileState.STORED
    assert sweep_all() == 1
    assert not object_store().exists(orphan)


def forgotten(settings: Any) -> None:
    """As a hub of before there were marks, that starts anew with this version."""
    StoreMark.objects.all().delete()
    for path in (settings.ODAVL_DATA / "objects" / MARKS).iterdir():
        path.unlink()
    configuration._local.cache_clear()


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.ODAVL_DATA = tmp_path
    return tmp_path / "objects"


def marks(folder: Path) -> list[str]:
    return [path.name for path in (folder / MARKS).iterdir()] if folder.exists() else []


def test_a_new_store_is_marked_at_its_first_use(folder: Path, alice: Person, client: Any) -> None:
    assert client.get("/api/health").json()["storage"]["status"] == "ok"
    assert marks(folder) == [], "who looks at it uses nothing"
    kept(alice.organization, large())
    assert marks(folder) == [StoreMark.objects.get().name]


def test_an_older_store_is_marked_where_it_holds_what_rows_say(
    folder: Path, alice: Person, settings: Any
) -> None:
    stored = kept(alice.organization, large())
    forgotten(settings)
    assert walk_both() == (0, 0)
    assert marks(folder) == [StoreMark.objects.get().name]
    assert read(stored)


def test_an_older_store_that_is_away_from_the_beginning_is_not_marked(
    folder: Path, alice: Person, settings: Any
) -> None:
    stored = kept(alice.organization, large())
    forgotten(settings)
    place = Mount(folder, leaves_folder=True)
    place.lose()
    with pytest.raises(ServiceUnavailable):
        read(stored)
    assert walk_both() == (0, 0)
    assert not StoreMark.objects.exists()
    assert place.written_meanwhile() == []
    place.bring_back()
    assert read(stored)
    assert walk_both() == (0, 0)
    assert marks(folder) == [StoreMark.objects.get().name]


def test_two_that_use_it_first_agree_on_a_mark(folder: Path, alice: Person) -> None:
    store = object_store().behind
    one, other = Presence(store), Presence(store)
    names = {each._found() for each in (one, other)}
    one.require()
    other.require()
    assert names == {StoreMark.objects.get().name}


def test_single_bytes_that_are_gone_are_still_told(folder: Path, alice: Person) -> None:
    stored = kept(alice.organization, large())
    object_store().delete(stored.key)
    with pytest.raises(BytesMissing):
        read(stored)
    assert walk_both() == (0, 1)


def test_a_person_may_take_a_store_as_it_is(folder: Path, alice: Person) -> None:
    """Its disk is lost for good, and another one is in its place."""
    stored = kept(alice.organization, large())
    Mount(folder, leaves_folder=True).lose()
    with pytest.raises(CommandError, match="Rows without bytes: 1"):
        call_command("storage_check", "--accept-store", stdout=StringIO())
    with pytest.raises(BytesMissing):
        read(stored)
    assert read(kept(alice.organization, large()))
