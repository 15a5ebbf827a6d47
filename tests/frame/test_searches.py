"""What people search for is taken as it is written, in every list that can be searched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from accounts.services import create_project
from tests.cast import Person
from tests.insight.documents import document, finding, send

NAMES = ["100% sure", "100x sure", "snake_case", "snakeXcase", "back\\slash", "back/slash"]
TEXTS = {
    "%": ["100% sure"],
    "0% s": ["100% sure"],
    "_": ["snake_case"],
    "e_c": ["snake_case"],
    "\\": ["back\\slash"],
    "k\\s": ["back\\slash"],
    "%%": [],
    "\\%": [],
    "__": [],
    "SURE": ["100% sure", "100x sure"],
    "nothing": [],
    "": NAMES,
}


def projects(alice: Person) -> Callable[[str], list[str]]:
    for name in NAMES:
        if name != "back/slash":  # its address would be another's
            create_project(by=alice.principal, name=name)

    def search(text: str) -> list[str]:
        answer = alice.api.send("GET", f"/projects?q={quote(text)}&limit=200")
        return [item["name"] for item in answer.json()["items"]]

    return search


def branches(alice: Person) -> Callable[[str], list[str]]:
    for name in NAMES:
        send(alice.api, document({"a.py": [finding("a")]}), branch=name)

    def search(text: str) -> list[str]:
        page = alice.page().get(f"/en/acme/projects/website/branches/?text={quote(text)}")
        return [stream.branch for stream in page.context["page"].items]

    return search


LISTS: dict[str, Callable[[Person], Callable[[str], list[Any]]]] = {
    "projects": projects,
    "branches": branches,
}
"""Issues have a table of their own in tests/insight/test_three_steps.py."""


@pytest.mark.parametrize("name", LISTS)
def test_a_text_is_looked_for_as_it_is_written(alice: Person, name: str) -> None:
    search = LISTS[name](alice)
    there = set(search(""))
    assert len(there) >= 5
    for text, expected in TEXTS.items():
        assert sorted(search(text)) == sorted(there & set(expected)), text
