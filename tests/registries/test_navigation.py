"""One entry makes a page: in its menu, in its place, for whoever may see it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import Resolver404, resolve
from django.utils import translation

from accounts import navigation
from accounts.models import Membership, Project, Role
from accounts.principal import principal_of_member
from tests.cast import Person
from tests.pages.test_insight_pages import shown
from tests.registries import weather
from tests.rooms import ROOT

pytestmark = pytest.mark.django_db
LINK = re.compile(r'<a href="([^"]+)"( aria-current="page")?>(?:<svg.*?</svg>)?([^<]+)</a>')
OF_OWNERS = [
    ("/en/acme/", "Overview"),
    ("/en/acme/sync/jobs/", "Jobs"),
    ("/en/acme/autopilot/", "Autopilot"),
    ("/en/acme/guardian/", "Guardian"),
    ("/en/acme/storage/", "Storage"),
]


def menu(page: str) -> list[tuple[str, str]]:
    """Addresses and labels of the side bar."""
    side_bar = page[page.index("<nav ") : page.index("</nav>")]
    return [(url, label.strip()) for url, _, label in LINK.findall(side_bar)]


def current(page: str) -> list[str]:
    side_bar = page[page.index("<nav ") : page.index("</nav>")]
    return [label.strip() for _, is_current, label in LINK.findall(side_bar) if is_current]


def test_the_menu_is_what_is_registered(alice: Person, viewer: Client) -> None:
    assert menu(shown(alice.page(), "/en/acme/")) == OF_OWNERS
    assert menu(shown(viewer, "/en/acme/")) == OF_OWNERS
    arabic = menu(shown(alice.page(), "/ar/acme/"))
    assert [url for url, _ in arabic] == [url.replace("/en/", "/ar/") for url, _ in OF_OWNERS]
    assert [label for _, label in arabic][:2] == ["نظرة عامة", "المهام"]


def test_a_new_page_stands_in_its_place_for_who_may_see_it(
    alice: Person, bob: Person, viewer: Client, room: None
) -> None:
    entry = ("/en/acme/weather/", "Weather")
    to_make = ("/en/acme/weather/make/", "Make weather")
    assert menu(shown(alice.page(), "/en/acme/")) == [
        *OF_OWNERS[:3],
        to_make,
        entry,
        *OF_OWNERS[3:],
    ]
    for client in (bob.page(), viewer):
        assert menu(shown(client, "/en/acme/")) == [*OF_OWNERS[:3], entry, *OF_OWNERS[3:]]


def test_the_page_at_hand_is_marked(alice: Person, website: Project, room: None) -> None:
    client = alice.page()
    page = shown(client, "/en/acme/weather/")
    assert "<h1>Sunny</h1>" in page
    assert current(page) == ["Weather"]
    assert current(shown(client, "/en/acme/sync/jobs/")) == ["Jobs"]
    assert current(shown(client, "/en/acme/projects/website/runs/")) == ["Runs"]


def test_a_page_of_projects_stands_below_the_project_at_hand(
    alice: Person, website: Project, room: None
) -> None:
    below = [
        ("/en/acme/projects/website/issues/", "Issues"),
        ("/en/acme/weather/website/", "Wind"),
        ("/en/acme/projects/website/runs/", "Runs"),
    ]
    assert below == menu(shown(alice.page(), "/en/acme/projects/website/"))[-3:]
    assert "Wind" not in shown(alice.page(), "/en/acme/")


def test_without_its_room_a_page_is_gone(alice: Person) -> None:
    with weather.registered():
        pass
    assert menu(shown(alice.page(), "/en/acme/")) == OF_OWNERS
    with pytest.raises(LookupError, match="weather"):
        navigation.path_of("weather", alice.organization)


def test_a_name_is_registered_once(room: None) -> None:
    with pytest.raises(ValueError, match="weather"):
        navigation.register(weather.PAGES[0])


def test_a_page_of_a_project_stands_in_no_menu_without_one() -> None:
    page = replace(weather.PAGES[2], menu=navigation.ORGANIZATION_MENU)
    with pytest.raises(ValueError, match="page of a project"):
        navigation.register(page)
    assert page not in navigation.pages()


def test_only_who_may_export_sees_the_button(alice: Person, bob: Person, viewer: Client) -> None:
    button = 'action="/en/acme/export/"'
    assert button in shown(alice.page(), "/en/acme/storage/")
    for client in (bob.page(), viewer):
        assert button not in shown(client, "/en/acme/storage/")


@pytest.mark.parametrize("page", navigation.pages(), ids=lambda page: page.name)
def test_each_page_is_there_and_its_entry_is_as_strict_as_the_page(
    page: navigation.Page, alice: Person, viewer: Client, website: Project
) -> None:
    absolute = navigation.address_of(page.name, alice.organization, website)
    path = navigation.path_of(page.name, alice.organization, website)
    assert absolute == f"{settings.PUBLIC_URL}{path}"
    with translation.override("ar"):
        assert navigation.path_of(page.name, alice.organization, website).startswith("/ar/")
        assert navigation.address_of(page.name, alice.organization, website) == absolute
    resolve(path)
    assert page.icon or page.menu != navigation.ORGANIZATION_MENU
    if page.menu is None or page.menu == navigation.ORGANIZATION_MENU:
        assert alice.page().get(path).status_code == 200
    members = Membership.objects.for_organization(alice.organization)
    vera = principal_of_member(members.get(role=Role.VIEWER))
    if page.menu and page not in navigation.entries(page.menu.name, vera):
        # Who does not see the entry is refused by the page, too.
        assert viewer.post(path).status_code == 403


def test_a_page_of_a_project_needs_one(alice: Person) -> None:
    with pytest.raises(LookupError, match="one of a project"):
        navigation.path_of("issues", alice.organization)
    with pytest.raises(Resolver404):
        resolve("/en/acme/nothing/at/all/")


def test_every_menu_is_shown_by_a_template() -> None:
    templates = "".join(
        path.read_text(encoding="utf-8")
        for room in ROOT.iterdir()
        if (room / "templates").is_dir()
        for path in Path(room, "templates").rglob("*.html")
    )
    for page in navigation.pages():
        assert page.menu is None or f'{{% menu "{page.menu.name}" as' in templates
