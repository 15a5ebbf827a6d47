"""What a list of files can be narrowed to: each field, with each text that means more to SQL."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from storage.models import StoredFile
from tests.cast import Person
from tests.problems import problem
from tests.tenancy.keys import bound_key

NAMES = [
    "100%.txt",
    "100 percent.txt",
    "a_b.txt",
    "aXb.txt",
    "back\\slash.txt",
    "backslash.txt",
    "quote'.txt",
    "UPPER.TXT",
    "lower.txt",
    "ÄÖ.txt",
    "a*.txt",
    "a?.txt",
    "[a].txt",
]
SEARCHES = {
    "%": ["100%.txt"],
    "100%": ["100%.txt"],
    "0%.": ["100%.txt"],
    "_": ["a_b.txt"],
    "a_b": ["a_b.txt"],
    "%%": [],
    "__": [],
    "\\": ["back\\slash.txt"],
    "\\%": [],
    "k\\s": ["back\\slash.txt"],
    "'": ["quote'.txt"],
    "' OR 1=1 --": [],
    "upper": ["UPPER.TXT"],
    "LOWER": ["lower.txt"],
    "äö": ["ÄÖ.txt"],
    "*": ["a*.txt"],
    "?": ["a?.txt"],
    "[a]": ["[a].txt"],
    "[a-z]": [],
    ".*": [],
    "nothing": [],
}
KINDS = {
    # Its content type, product, label and access.
    "picture": ("image/png", "guardian", "screenshot", "PUBLIC"),
    "drawing": ("image/webp", "guardian", "screenshots", "ORGANIZATION"),
    "pixels": ("imagery/png", "", "", "PRIVATE"),
    "table": ("text/csv", "insight", "report", "PROJECT"),
    "text": ("text/plain", "autopilot", "", "ORGANIZATION"),
}


@pytest.fixture
def named(alice: Person) -> None:
    for name in NAMES:
        row(alice, name=name, content_type="text/plain")


@pytest.fixture
def kinds(alice: Person) -> None:
    for name, (content_type, product, label, access) in KINDS.items():
        row(alice, name=name, content_type=content_type, product=product, type=label, access=access)


def row(person: Person, **fields: Any) -> StoredFile:
    """A file in the list: what is looked for is its row."""
    return StoredFile.across_organizations.create(
        organization=person.organization,
        **{"size": 1, "state": "stored", "stored_at": timezone.now()} | fields,
    )


def listed(person: Person, **query: str) -> list[str]:
    answer = person.api.send("GET", f"/storage/files?{urlencode(query)}")
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert found["total"] == len(found["items"])
    return sorted(item["name"] for item in found["items"])


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("text", SEARCHES)
def test_a_search_finds_what_has_the_very_text_in_its_name(alice: Person, text: str) -> None:
    assert listed(alice, q=text) == sorted(SEARCHES[text])
    page = alice.page().get(f"/en/acme/storage/?{urlencode({'q': text})}").content.decode()
    assert ("lower.txt" in page) is ("lower.txt" in SEARCHES[text])


@pytest.mark.usefixtures("named")
def test_no_text_narrows_nothing(alice: Person) -> None:
    assert listed(alice) == listed(alice, q="") == listed(alice, q=".t") == sorted(NAMES)


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"contentType": "image/png"}, {"picture"}),
        ({"contentType": "image/"}, {"picture", "drawing"}),
        ({"contentType": "image"}, set()),
        ({"contentType": "/"}, set()),
        ({"contentType": "%/"}, set()),
        ({"contentType": "image_/"}, set()),
        ({"contentType": "imag%/"}, set()),
        ({"contentType": "image/%"}, set()),
        ({"contentType": "text/"}, {"table", "text"}),
        ({"type": "screenshot"}, {"picture"}),
        ({"type": "screenshot%"}, set()),
        ({"type": "screenshot_"}, set()),
        ({"type": "SCREENSHOT"}, set()),
        ({"product": "guardian"}, {"picture", "drawing"}),
        ({"product": "insight"}, {"table"}),
        ({"access": "PUBLIC"}, {"picture"}),
        ({"access": "ORGANIZATION"}, {"drawing", "text"}),
        ({"access": "PROJECT"}, {"table"}),
        ({"access": "PRIVATE"}, {"pixels"}),
        ({"state": "stored"}, set(KINDS)),
        ({"state": "pending"}, set()),
        ({"state": "refused"}, set()),
        ({"product": "guardian", "contentType": "image/png"}, {"picture"}),
        ({"product": "insight", "contentType": "image/png"}, set()),
        ({"q": "t", "type": "report"}, {"table"}),
        ({"q": "t", "access": "PRIVATE"}, set()),
    ],
    # Only by what is asked: a set is written in another order in each process.
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_each_field_narrows_to_what_it_says(
    alice: Person, query: dict[str, str], expected: set[str]
) -> None:
    assert listed(alice, **query) == sorted(expected)


@pytest.mark.parametrize("name", ["product", "access", "state", "sort", "limit", "cursor"])
@pytest.mark.parametrize("value", ["%", "_", "nothing", "deleted", "' OR 1=1"])
def test_what_a_field_cannot_be_is_told(alice: Person, name: str, value: str) -> None:
    answer = alice.api.send("GET", f"/storage/files?{urlencode({name: value})}")
    problem(answer, 400, "malformed_request", pointer=f"/query/{name}")


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("name", ["q", "contentType", "type"])
@pytest.mark.parametrize("value", ["\ud800", "x" * 100_000])
def test_a_text_that_no_file_can_have_finds_none(alice: Person, name: str, value: str) -> None:
    query = urlencode({name: value}, errors="surrogatepass")
    answer = alice.api.send("GET", f"/storage/files?{query}")
    assert (answer.status_code, answer.json().get("items")) == (200, []), answer.content
    assert alice.page().get(f"/en/acme/storage/?{query}").status_code == 200


@pytest.mark.parametrize("name", ["q", "contentType", "type", "product", "state", "cursor"])
@pytest.mark.parametrize("value", ["\x00", "a\x00b"])
def test_what_no_text_in_the_database_can_have_is_no_error_of_the_hub(
    alice: Person, name: str, value: str
) -> None:
    query = urlencode({name: value})
    problem(alice.api.send("GET", f"/storage/files?{query}"), 400, "malformed_request")
    page = alice.page().get(f"/en/acme/storage/?{query}")
    assert page.status_code == (400 if name in ("product", "state") else 200)


SORTED = {
    "name": ["aa", "bb", "cc"],
    "-size": ["bb", "cc", "aa"],
    "-downloads": ["cc", "aa", "bb"],
    "createdAt": ["bb", "aa", "cc"],
    "-createdAt": ["cc", "aa", "bb"],
    "": ["cc", "aa", "bb"],
}


@pytest.mark.parametrize("sort", SORTED)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_every_order_is_kept_from_page_to_page(alice: Person, sort: str, limit: int) -> None:
    for name, size, downloads in (("bb", 9, 1), ("aa", 1, 2), ("cc", 5, 3)):
        row(alice, name=name, size=size, downloads=downloads)
    shown: list[str] = []
    query = {"sort": sort, "limit": str(limit)}
    while True:
        page = alice.api.send("GET", f"/storage/files?{urlencode(query)}").json()
        shown += [item["name"] for item in page["items"]]
        if "next" not in page:
            break
        query["cursor"] = page["next"]
    assert shown == SORTED[sort]


def test_rows_that_sort_alike_are_each_shown_once(alice: Person) -> None:
    names = [f"{number}.txt" for number in range(7)]
    for name in names:
        row(alice, name=name)
    for sort in ("-size", "-downloads"):
        page = alice.api.send("GET", f"/storage/files?sort={sort}&limit=3").json()
        shown = page["items"]
        while "next" in page:
            query = urlencode({"sort": sort, "limit": 3, "cursor": page["next"]})
            page = alice.api.send("GET", f"/storage/files?{query}").json()
            shown += page["items"]
        assert sorted(item["name"] for item in shown) == names


def test_a_search_finds_nothing_of_others(alice: Person, charlie: Person, website: Any) -> None:
    """Whatever is asked for, only what may be read is looked through."""
    row(alice, name="secret.txt", access="PRIVATE")
    row(alice, name="secret-of-a-project.txt", access="PROJECT", project=website)
    row(charlie, name="secret-elsewhere.txt", access="PUBLIC")
    reader = bound_key(alice, website, "storage:read").api
    found = reader.send("GET", "/storage/files?q=secret").json()["items"]
    assert [item["name"] for item in found] == ["secret-of-a-project.txt"]
    assert listed(charlie, q="secret") == ["secret-elsewhere.txt"]
