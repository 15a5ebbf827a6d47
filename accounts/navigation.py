"""The pages there are: which menu leads to each, who sees the entry, and where the page is.

Owners register their pages in the ``ready`` of their ``apps.py``. Menus are rendered from what is
registered, and a room that leads people to a page of a room above it names the page, not its route.
A page puts its name into its context as ``section``: then its entry is the current one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from accounts.models import Organization, Project
from accounts.principal import Principal

if TYPE_CHECKING:
    from django.utils.functional import Promise

OVERVIEW = "overview"
"""The page that an organization begins with."""
PROJECT = "project"
"""The page that a project begins with."""
JOBS = "jobs"
"""What the hub does for an organization, and how far it is."""


@dataclass(frozen=True, slots=True)
class Menu:
    """A list of entries, which a template shows by ``name``; the template's room defines it.

    Pages of projects stand in one that is shown where a project is at hand.
    """

    name: str
    of_project: bool = False


ORGANIZATION_MENU = Menu("organization")
"""In the side bar, of the organization at hand."""
PROJECT_MENU = Menu("project", of_project=True)
"""In the side bar, below the project at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``name`` is the section; ``route`` is reversed with the organization's slug.

    A page ``of_project`` has the project's slug as a second argument. Without a ``menu`` it is
    only led to by name. Entries stand in ``order``, by name where that is the same. ``scope`` is
    what the page itself asks of its reader (:mod:`accounts.roles` says which role has it); who
    lacks it sees no entry.
    """

    name: str
    route: str
    of_project: bool = False
    menu: Menu | None = None
    order: int = 0
    label: str | Promise = ""
    icon: str = ""
    scope: str = ""


_pages: dict[str, Page] = {}


def register(page: Page) -> None:
    """Raises :class:`ValueError` for a second page of that name, or one in a menu it cannot be in.

    A page of a project has no address where there is none at hand.
    """
    if page.name in _pages:
        raise ValueError(f"There is a page {page.name!r}.")
    if page.of_project and page.menu and not page.menu.of_project:
        raise ValueError(f"{page.name!r} is a page of a project; {page.menu.name!r} has none.")
    _pages[page.name] = page


def unregister(name: str) -> None:
    del _pages[name]


def pages() -> tuple[Page, ...]:
    return tuple(_pages.values())


def entries(menu: str, principal: Principal) -> list[Page]:
    """What the menu of that name shows to ``principal``, in order."""
    shown = (page for page in _pages.values() if page.menu and page.menu.name == menu)
    return sorted(
        (page for page in shown if not page.scope or principal.may(page.scope)),
        key=lambda page: (page.order, page.name),
    )


def path_of(name: str, organization: Organization, project: Project | None = None) -> str:
    """The path of a page, in the language of the request.

    Raises :class:`LookupError` for a page that nobody registered.
    """
    page = _pages.get(name)
    if page is None:
        raise LookupError(f"There is no page {name!r}.")
    if not page.of_project:
        return reverse(page.route, args=[organization.slug])
    if project is None:
        raise LookupError(f"The page {name!r} is one of a project.")
    return reverse(page.route, args=[organization.slug, project.slug])


def address_of(name: str, organization: Organization, project: Project | None = None) -> str:
    """The absolute address of a page, as people are given it: in the default language."""
    with translation.override(settings.LANGUAGE_CODE):
        return f"{settings.PUBLIC_URL}{path_of(name, organization, project)}"
