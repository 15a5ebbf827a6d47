"""Lists of one kind: filters, order, pages and statistics, alike in the API and on pages."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from accounts.models import Project
from odavl.wire import limits
from tests.cast import Api, Person
from tests.problems import problem
from tests.results.products import AUTOPILOT, BOTH, GUARDIAN, PRODUCTS, Product


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def day(number: int, time: str = "00:00:00Z") -> str:
    return f"2026-01-{number:02}T{time}"


def fill(product: Product, api: Api, names: str = "abcde", **fields: Any) -> None:
    """Rows of one letter, one a day from the first of January."""
    for number, name in enumerate(names, start=1):
        made = product.send(api, product.document(name, **{product.time: day(number)}, **fields))
        assert made.status_code == 201, made.content


def shown_on_page(product: Product, alice: Person, query: str) -> list[str]:
    """The rows of the list's page, by the ids in their links."""
    page = alice.page().get(f"/en/acme/{product.room}/{query}")
    assert page.status_code == 200, page.content
    ids = re.findall(rf'/en/acme/{product.room}/([0-9a-f-]{{36}})/"', page.content.decode())
    by_id = {str(row.pk): getattr(row, product.column) for row in product.rows()}
    return [by_id[found] for found in ids]


# ── Filters ──────────────────────────────────────────────────────────────────


@BOTH
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "edcba"),
        (f"?since={day(3)}", "edc"),
        (f"?until={day(3)}", "ba"),
        (f"?since={day(2)}&until={day(4)}", "cb"),
        (f"?since={day(3)}&until={day(3)}", ""),
        ("?since=2026-01-03T01:00:00%2B01:00", "edc"),
        ("?since=2026-01-03T00:00:00.000001Z", "ed"),
        ("?since=2026-01-03", "edc"),
        ("?project=website", "edcba"),
        ("?since=&until=&sort=&project=", "edcba"),
        ("?unknown=1", "edcba"),
    ],
)
def test_times_and_what_is_empty(
    alice: Person, website: Project, product: Product, query: str, found: str
) -> None:
    fill(product, alice.api)
    assert "".join(product.names(alice.api, query)) == found
    assert "".join(shown_on_page(product, alice, query)) == found


ODD = ("100%", "100", "100x", "a_b", "axb", "a\\b", "a\\\\b", "A_B", "'", '"', "%", "_", "a b", "é")
"""Names of which one would find another if a sign in it were taken for more than itself."""


@BOTH
@pytest.mark.parametrize("name", ODD)
def test_a_name_is_taken_literally(api: Api, product: Product, name: str) -> None:
    fill(product, api, "x")
    for odd in ODD:
        assert product.send(api, product.document(odd)).status_code == 201
    assert product.names(api, f"?{product.name}={quote(name)}") == [name]


@pytest.mark.parametrize("recipe", ODD)
def test_a_recipe_is_taken_literally(api: Api, recipe: str) -> None:
    for number, odd in enumerate(ODD):
        AUTOPILOT.send(api, AUTOPILOT.document(str(number), selectedRecipe=odd))
    [found] = AUTOPILOT.list(api, f"?recipe={quote(recipe)}")["items"]
    assert found["selectedRecipe"] == recipe


URLS = (
    "https://x/100%25", "https://x/100%2", "https://x/100_", "https://x/100_a", "https://x/100xa",
    "https://x/a\\b", "https://x/a\\", "https://X/100%25",
)  # fmt: skip


@pytest.mark.parametrize("prefix", [*URLS, "https://x/100", "https://x/%", "https://x/a_", "_"])
def test_the_beginning_of_an_address_is_taken_literally(api: Api, prefix: str) -> None:
    for number, url in enumerate(URLS):
        GUARDIAN.send(api, GUARDIAN.document(str(number), url=url))
    found = {row["url"] for row in GUARDIAN.list(api, f"?url={quote(prefix)}")["items"]}
    assert found == {url for url in URLS if url.startswith(prefix)}


@BOTH
def test_a_name_that_is_too_long_finds_no_other(api: Api, product: Product) -> None:
    longest = "n" * limits.MAX_RUN_ID_LENGTH
    assert product.send(api, product.document(longest)).status_code == 201
    assert product.names(api, f"?{product.name}={longest}") == [longest]
    assert product.names(api, f"?{product.name}={longest}n") == []
    assert product.names(api, f"?{product.name}={longest[1:]}") == []


def test_a_text_that_was_shortened_is_found_by_all_of_it(api: Api) -> None:
    recipe, url = "r" * 300, "https://x/" + "u" * limits.MAX_URL_LENGTH
    AUTOPILOT.send(api, AUTOPILOT.document("one", selectedRecipe=recipe))
    GUARDIAN.send(api, GUARDIAN.document("one", url=url))
    assert AUTOPILOT.names(api, f"?recipe={recipe}") == ["one"]
    assert AUTOPILOT.names(api, f"?recipe={recipe[:200]}") == []
    assert GUARDIAN.names(api, f"?url={url}") == ["one"]
    assert GUARDIAN.names(api, f"?url={url[:1_000]}") == ["one"]


CHOICES = [
    (AUTOPILOT, "phase", ["observe", "decide", "act", "verify", "learn", "completed",
                          "rolled-back", "failed"]),
    (GUARDIAN, "environment", ["development", "staging", "production"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("product", "member", "words"), CHOICES, ids=lambda value: getattr(value, "room", None)
)
def test_each_word_of_a_choice_finds_its_own(
    alice: Person, website: Project, product: Product, member: str, words: list[str]
) -> None:
    for word in words:
        assert product.send(alice.api, product.document(word, **{member: word})).status_code == 201
    for word in words:
        assert product.names(alice.api, f"?{member}={word}") == [word]
        assert shown_on_page(product, alice, f"?{member}={word}") == [word]


@pytest.mark.parametrize(
    ("failed", "warnings", "outcome"), [(0, 0, "passed"), (0, 5, "passed"), (1, 0, "failed")]
)
def test_an_outcome_is_about_failures_alone(
    api: Api, failed: int, warnings: int, outcome: str
) -> None:
    summary = {"passed": 1, "failed": failed, "warnings": warnings}
    GUARDIAN.send(api, GUARDIAN.document("one", summary=summary))
    other = {"passed": "failed", "failed": "passed"}[outcome]
    assert GUARDIAN.names(api, f"?outcome={outcome}") == ["one"]
    assert GUARDIAN.names(api, f"?outcome={other}") == []


@BOTH
def test_filters_narrow_together(api: Api, website: Project, product: Product) -> None:
    fill(product, api, "abc")
    assert product.names(api, f"?{product.name}=b&since={day(2)}&until={day(3)}") == ["b"]
    assert product.names(api, f"?{product.name}=b&since={day(3)}") == []


WRONG = ["sort=x", "sort=-", "since=x", "until=2026-02-30", "since=9999-12-31T23:59:59-14:00",
         "limit=0", "limit=201", "limit=x", "limit=-1", "offset=-1", "cursor=x"]  # fmt: skip


@BOTH
@pytest.mark.parametrize("query", WRONG)
def test_what_cannot_be_asked_is_told_with_its_place(
    alice: Person, product: Product, query: str
) -> None:
    answer = alice.api.send("GET", f"/{product.room}/{product.noun}s?{query}")
    problem(answer, 400, "malformed_request", pointer=f"/query/{query.partition('=')[0]}")
    if not query.startswith(("limit", "offset", "cursor")):
        assert alice.page().get(f"/en/acme/{product.room}/?{query}").status_code == 400


@BOTH
def test_a_project_that_is_not_there(alice: Person, product: Product) -> None:
    path = f"/{product.room}/{product.noun}s?project=nowhere"
    problem(alice.api.send("GET", path), 404, "not_found")
    assert alice.page().get(f"/en/acme/{product.room}/?project=nowhere").status_code == 404


# ── Order and pages ──────────────────────────────────────────────────────────

SORTS = [
    (AUTOPILOT, "-startedAt", "dcba"),
    (AUTOPILOT, "startedAt", "abcd"),
    (AUTOPILOT, "-findingsClosed", "bcad"),
    (AUTOPILOT, "-filesModified", "cdba"),
    (GUARDIAN, "-timestamp", "dcba"),
    (GUARDIAN, "timestamp", "abcd"),
    (GUARDIAN, "-failed", "bcad"),
    (GUARDIAN, "url", "adbc"),
]


def four(product: Product, api: Api) -> None:
    """Four rows that every sorting puts into an order of its own."""
    for number, (name, rank, size) in enumerate(
        [("a", 1, 0), ("b", 3, 1), ("c", 2, 3), ("d", 0, 2)], start=1
    ):
        fields: dict[str, Any] = {product.time: day(number)}
        if product is AUTOPILOT:
            closed = [f"f{each}" for each in range(rank)]
            fields |= {"edits": [product.item(findingsClosed=closed)], "filesModified": size}
        else:
            fields |= {"summary": {"failed": rank}, "url": "adbc".index(name) * "x" + "."}
        product.send(api, product.document(name, **fields))


@pytest.mark.parametrize(
    ("product", "sort", "found"), SORTS, ids=lambda value: getattr(value, "room", None)
)
def test_each_sorting_has_its_order_on_one_page_and_on_many(
    alice: Person, website: Project, product: Product, sort: str, found: str
) -> None:
    four(product, alice.api)
    assert "".join(product.names(alice.api, f"?sort={sort}")) == found
    assert "".join(shown_on_page(product, alice, f"?sort={sort}")) == found
    assert "".join(walked(product, alice.api, f"?sort={sort}&limit=1")) == found


@BOTH
def test_the_first_sorting_is_the_one_without_a_word(
    api: Api, website: Project, product: Product
) -> None:
    fill(product, api)
    assert product.names(api) == product.names(api, f"?sort=-{product.time}")


def walked(product: Product, api: Api, query: str) -> list[str]:
    """All names, page after page, by the address that each page gives of the next one."""
    address, names = f"/api/v1/{product.room}/{product.noun}s{query}", []
    while address:
        answer = api.get(address)
        assert answer.status_code == 200, answer.content
        names += [row[product.name] for row in answer.json()["items"]]
        assert ("next" in answer.json()) == ("Link" in answer)
        link = re.fullmatch(r'<(.+)>; rel="next"', answer.get("Link", ""))
        parts = urlsplit(link[1]) if link else None
        address = f"{parts.path}?{parts.query}" if parts else ""
    return names


@BOTH
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?limit=2", "edcba"),
        ("?limit=2&offset=1", "dcba"),
        ("?limit=1&offset=4", "a"),
        ("?limit=2&offset=5", ""),
        (f"?limit=1&offset=1&until={day(5)}", "cba"),
        ("?limit=5", "edcba"),
        ("?limit=4", "edcba"),
    ],
)
def test_the_way_to_the_next_page_keeps_the_question_and_skips_once(
    api: Api, website: Project, product: Product, query: str, found: str
) -> None:
    """``offset`` counts from the first page; in the address of the next it would count again."""
    fill(product, api)
    assert "".join(walked(product, api, query)) == found


@BOTH
@pytest.mark.parametrize("sort", ["", "-"])
def test_rows_of_the_same_moment_are_each_shown_once(
    alice: Person, website: Project, product: Product, sort: str
) -> None:
    names = [f"n{number}" for number in range(7)]
    for name in names:
        product.send(alice.api, product.document(name))
    query = f"?sort={sort}{product.time}"
    assert sorted(walked(product, alice.api, f"{query}&limit=2")) == names
    assert walked(product, alice.api, f"{query}&limit=2") == product.names(alice.api, query)


@BOTH
def test_what_arrives_meanwhile_shifts_nothing(
    api: Api, website: Project, product: Product
) -> None:
    fill(product, api, "abc")
    first = product.list(api, "?limit=2")
    product.send(api, product.document("z", **{product.time: day(9)}))
    assert product.names(api, f"?limit=2&cursor={first['next']}") == ["a"]


@BOTH
def test_a_cursor_of_another_sorting_is_refused(
    api: Api, website: Project, product: Product
) -> None:
    four(product, api)
    cursor = product.list(api, f"?sort=-{product.time}&limit=1")["next"]
    other = {"autopilot": "-findingsClosed", "guardian": "-failed"}[product.room]
    answer = api.send("GET", f"/{product.room}/{product.noun}s?sort={other}&cursor={cursor}")
    problem(answer, 400, "malformed_request", pointer="/query/cursor")


@BOTH
@pytest.mark.parametrize(("query", "count"), [("", 20), ("?limit=1", 1), ("?limit=200", 23)])
def test_a_page_has_as_many_rows_as_it_may(
    api: Api, website: Project, product: Product, query: str, count: int
) -> None:
    for number in range(23):
        product.send(api, product.document(f"n{number}"))
    page = product.list(api, query)
    assert (len(page["items"]), page["total"]) == (count, 23)


# ── Statistics ───────────────────────────────────────────────────────────────


@BOTH
@pytest.mark.parametrize("query", ["", f"?since={day(4)}", "?limit=1&offset=2", f"?until={day(1)}"])
def test_the_total_is_that_of_all_that_is_wanted(
    api: Api, website: Project, product: Product, query: str
) -> None:
    fill(product, api)
    page = product.list(api, query)
    unpaged = product.names(api, re.sub(r"limit=1&offset=2", "limit=200", query))
    assert page["total"] == page["statistics"][f"{product.noun}s"] == len(unpaged)


@BOTH
def test_statistics_of_nothing(api: Api, product: Product) -> None:
    statistics = product.list(api)["statistics"]
    rates = {"successRate", "passRate", "averageAccessibilityScore"}
    assert {name for name, value in statistics.items() if value is None} == rates & set(statistics)
    assert {value for value in statistics.values() if value is not None} == {0}


# ── What is said about it ────────────────────────────────────────────────────


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.room)
def test_the_schema_names_each_parameter_with_its_words(api: Api, product: Product) -> None:
    schema = api.get("/api/schema?format=json").json()
    listed = schema["paths"][f"/api/v1/{product.room}/{product.noun}s"]["get"]["parameters"]
    by_name = {each["name"]: each for each in listed if each["in"] == "query"}
    expected = {
        "autopilot": {"phase", "recipe", "runId"},
        "guardian": {"environment", "outcome", "url", "testRunId"},
    }[product.room]
    paging = {"limit", "offset", "cursor", "project", "since", "until", "sort"}
    assert set(by_name) - paging == expected
    assert by_name["sort"]["schema"]["default"] == f"-{product.time}"
    for name, parameter in by_name.items():
        for word in parameter["schema"].get("enum", ()):
            assert product.names(api, f"?{name}={word}") == []


@BOTH
def test_the_form_shows_what_was_asked(alice: Person, website: Project, product: Product) -> None:
    fill(product, alice.api, "a")
    choice = {"autopilot": "phase=failed", "guardian": "environment=production"}[product.room]
    word = choice.partition("=")[2]
    address = f"/en/acme/{product.room}/?{choice}&sort={product.time}&project=website"
    html = alice.page().get(address).content.decode()
    selected = re.findall(r'<option value="([^"]*)" selected>', html)
    assert sorted(selected) == sorted([word, product.time, "website"])
    assert f'class="clear-filters" href="/en/acme/{product.room}/"' in html


@BOTH
@pytest.mark.parametrize(
    ("query", "narrowed"),
    [
        ("", False),
        ("?sort=&project=&since=", False),
        ("?project=website", True),
        ("?since=2026-01-01", True),
        ("?until=2026-02-01", True),
        ("?NAME=a", True),
        ("?NAME=b", True),
    ],
)
def test_filters_can_be_cleared_where_there_are_any(
    alice: Person, website: Project, product: Product, query: str, narrowed: bool
) -> None:
    fill(product, alice.api, "a")
    address = f"/en/acme/{product.room}/{query.replace('NAME', product.name)}"
    assert ("clear-filters" in alice.page().get(address).content.decode()) == narrowed
