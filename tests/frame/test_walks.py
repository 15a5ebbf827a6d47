"""Walking through lists, forward and back: each row once, whatever comes or goes meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.extra.django import TestCase
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts.models import Organization, Project
from frame.listing import page_of
from frame.paging import decode_cursor, encode_cursor, paginate, read_page, whole_number
from odavl.wire.errors import MalformedRequest

START = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
ORDERS: list[tuple[str, ...]] = [
    ("name", "id"),
    ("-name", "-id"),
    ("created_at", "id"),
    ("-created_at", "-id"),
    ("name", "-id"),
    ("-git_remote", "name", "id"),
]
ROWS = st.lists(
    # Few values, so that many rows are equal but for their ids.
    st.tuples(st.sampled_from(["a", "b", "B", "é", "", "z%_\\"]), st.integers(0, 3)),
    max_size=12,
)


def made(organization: Organization, rows: list[tuple[str, int]], start: int = 0) -> list[Any]:
    found = [
        Project(organization=organization, slug=f"p{at}", name=name, git_remote=name[:1])
        for at, (name, _) in enumerate(rows, start)
    ]
    Project.across_organizations.bulk_create(found)
    for project, (_, minutes) in zip(found, rows, strict=True):
        project.created_at = START + timedelta(minutes=minutes)
    Project.across_organizations.bulk_update(found, ["created_at"])
    return [project.pk for project in found]


def asked(query: str) -> Request:
    return Request(APIRequestFactory().get(f"/api/v1/projects?{query}"))


FEW = settings(max_examples=25)


class TestWalks(TestCase):
    def setup_example(self) -> None:
        # Not `setUp`, which runs once for all examples, outside of their transactions.
        super().setup_example()
        self.organization = Organization.objects.create(slug="acme", name="Acme")
        other = Organization.objects.create(slug="globex", name="Globex")
        made(other, [("a", 0), ("b", 1)])
        self.rows = Project.objects.for_organization(self.organization)

    @FEW
    @given(rows=ROWS, order=st.sampled_from(ORDERS), limit=st.integers(1, 5))
    def test_following_next_shows_each_row_once_and_in_order(
        self, rows: list[tuple[str, int]], order: tuple[str, ...], limit: int
    ) -> None:
        made(self.organization, rows)
        expected = list(self.rows.order_by(*order).values_list("pk", flat=True))
        seen: list[Any] = []
        query = f"limit={limit}"
        for _ in range(len(rows) + 2):
            answer = paginate(
                asked(query), self.rows, order=order, show=lambda row: row.pk, count=True
            )
            assert answer.data["total"] == len(rows)
            assert len(answer.data["items"]) <= limit
            seen += answer.data["items"]
            if "next" not in answer.data:
                assert "Link" not in answer
                break
            assert len(answer.data["items"]) == limit
            link = answer["Link"].removeprefix("<").removesuffix('>; rel="next"')
            query = urlsplit(link).query
            assert parse_qs(query)["cursor"] == [answer.data["next"]]
            assert parse_qs(query)["limit"] == [str(limit)]
        assert seen == expected

    @FEW
    @given(rows=ROWS, order=st.sampled_from(ORDERS), size=st.integers(1, 4))
    def test_forward_to_the_end_and_back_to_the_beginning(
        self, rows: list[tuple[str, int]], order: tuple[str, ...], size: int
    ) -> None:
        made(self.organization, rows)
        expected = list(self.rows.order_by(*order).values_list("pk", flat=True))
        pages = []
        cursor = ""
        while True:
            page = page_of(self.rows.all(), order=order, cursor=cursor, size=size)
            pages.append([row.pk for row in page.items])
            assert bool(page.previous) == (len(pages) > 1)
            if not page.next:
                break
            cursor = page.next
        assert [pk for each in pages for pk in each] == expected
        back = []
        while page.previous:
            page = page_of(self.rows.all(), order=order, cursor=page.previous, size=size)
            back.append([row.pk for row in page.items])
            assert page.next
        assert back == pages[-2::-1]

    @FEW
    @given(rows=ROWS, later=ROWS, order=st.sampled_from(ORDERS), size=st.integers(1, 4))
    def test_what_comes_meanwhile_repeats_and_hides_nothing(
        self,
        rows: list[tuple[str, int]],
        later: list[tuple[str, int]],
        order: tuple[str, ...],
        size: int,
    ) -> None:
        before = made(self.organization, rows)
        seen: list[Any] = []
        cursor, waiting = "", list(later)
        number = len(rows)
        while True:
            page = page_of(self.rows.all(), order=order, cursor=cursor, size=size)
            seen += [row.pk for row in page.items]
            if waiting:
                made(self.organization, [waiting.pop()], start=number)
                number += 1
            if not page.next:
                break
            cursor = page.next
        assert len(seen) == len(set(seen))
        assert set(before) <= set(seen)

    @FEW
    @given(rows=ROWS, order=st.sampled_from(ORDERS), size=st.integers(1, 4), data=st.data())
    def test_next_and_previous_undo_each_other(
        self, rows: list[tuple[str, int]], order: tuple[str, ...], size: int, data: st.DataObject
    ) -> None:
        made(self.organization, rows)
        page = page_of(self.rows.all(), order=order, cursor="", size=size)
        for _ in range(data.draw(st.integers(0, 3))):
            if page.next:
                page = page_of(self.rows.all(), order=order, cursor=page.next, size=size)
        if page.next:
            after = page_of(self.rows.all(), order=order, cursor=page.next, size=size)
            back = page_of(self.rows.all(), order=order, cursor=after.previous, size=size)
            assert [row.pk for row in back.items] == [row.pk for row in page.items]
            assert back.next == page.next

    @FEW
    @given(rows=ROWS, offset=st.integers(0, 14), limit=st.integers(1, 5))
    def test_an_offset_is_left_behind_by_the_next_link(
        self, rows: list[tuple[str, int]], offset: int, limit: int
    ) -> None:
        made(self.organization, rows)
        order = ("name", "id")
        expected = list(self.rows.order_by(*order).values_list("pk", flat=True))[offset:]
        seen: list[Any] = []
        query = f"limit={limit}&offset={offset}"
        while True:
            answer = paginate(asked(query), self.rows, order=order, show=lambda row: row.pk)
            seen += answer.data["items"]
            if "next" not in answer.data:
                break
            query = urlsplit(answer["Link"][1:].partition(">")[0]).query
            assert "offset" not in parse_qs(query)
        assert seen == expected

    @FEW
    @given(
        values=st.lists(
            st.none()
            | st.integers(-(2**63), 2**63 - 1)
            | st.text().filter(lambda t: "\x00" not in t),
            max_size=4,
        )
    )
    def test_a_cursor_says_what_it_was_given(self, values: list[Any]) -> None:
        try:
            encoded = encode_cursor(values)
        except UnicodeEncodeError:
            return
        assert decode_cursor(encoded) == tuple(values)

    @FEW
    @given(text=st.text(max_size=40))
    def test_a_cursor_that_is_none_of_ours_is_told_or_shows_the_beginning(self, text: str) -> None:
        made(self.organization, [("a", 0), ("b", 1), ("c", 2)])
        page = page_of(self.rows.all(), order=("name", "id"), cursor=text, size=2)
        assert [row.name for row in page.items] == ["a", "b"]
        assert not page.previous
        if text:
            request = Request(APIRequestFactory().get("/api/v1/projects", {"cursor": text}))
            with pytest.raises(MalformedRequest):
                paginate(request, self.rows, order=("name", "id"), show=str)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 20), ("1", 1), ("200", 200), ("007", 7), ("0", None), ("201", None), ("-1", None),
        ("1.0", None), ("1e1", None), (" 1", None), ("+1", None), ("0001", None), ("٣", None),
        ("x", None), ("²", None), ("9" * 1_000_000, None),
    ],
)  # fmt: skip
def test_a_limit_is_a_whole_number_within_its_bounds(text: str, number: int | None) -> None:
    if number is None:
        with pytest.raises(MalformedRequest) as refused:
            read_page({"limit": text})
        assert [each.pointer for each in refused.value.errors] == ["/query/limit"]
    else:
        assert read_page({"limit": text}).limit == number


@pytest.mark.parametrize(("text", "fits"), [("2147483647", True), ("2147483648", False)])
def test_an_offset_is_one_that_the_database_takes(text: str, fits: bool) -> None:
    if fits:
        assert read_page({"offset": text}).offset == int(text)
    else:
        with pytest.raises(MalformedRequest):
            read_page({"offset": text})


@pytest.mark.parametrize(("least", "most"), [(0, 0), (0, 9), (5, 5), (10, 365)])
def test_both_bounds_are_within(least: int, most: int) -> None:
    for number in (least, most):
        assert whole_number({"n": str(number)}, "n", 1, least=least, most=most) == number
    for number in (least - 1, most + 1):
        with pytest.raises(MalformedRequest):
            whole_number({"n": str(number)}, "n", 1, least=least, most=most)


def test_a_cursor_of_another_list_is_told(alice: Any) -> None:
    rows = Project.objects.for_organization(alice.organization)
    for values in (["a"], ["a", "b", "c"], [1, "not an id"], ["a", None], [None, None]):
        request = Request(APIRequestFactory().get("/x", {"cursor": encode_cursor(values)}))
        with pytest.raises(MalformedRequest):
            paginate(request, rows, order=("name", "id"), show=str)


def test_a_cursor_has_a_largest_length() -> None:
    assert decode_cursor(encode_cursor(["x" * 1_400]))
    with pytest.raises(MalformedRequest):
        decode_cursor(encode_cursor(["x" * 2_000]))
