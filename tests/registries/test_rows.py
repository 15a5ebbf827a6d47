"""Registered rows: they are exported, forgotten when their time is over, and explained."""

from __future__ import annotations

import pytest

from accounts import exports
from accounts.models import Project
from insight.models import Issue
from jobs import retention
from tests.cast import Person
from tests.insight.documents import finding, upload
from tests.pages.test_insight_pages import shown
from tests.registries import weather
from tests.registries.conftest import send_report
from tests.teams.test_exports import made, rows
from uploads import closings
from uploads.models import Upload

FINGERPRINT = "0123456789abcdef" * 2


@pytest.mark.django_db(transaction=True)
def test_a_new_table_is_in_the_archive(
    alice: Person, charlie: Person, website: Project, room: None
) -> None:
    assert rows(made(alice.api), "weather") == [{"project": "Website", "degrees": 21}]
    assert rows(made(alice.api, projectId="website"), "weather") != []
    assert rows(made(charlie.api), "weather") == []


@pytest.mark.django_db(transaction=True)
def test_without_its_room_a_table_is_not_in_it(alice: Person, website: Project) -> None:
    with weather.registered(), pytest.raises(ValueError, match="weather"):
        exports.register("weather", exports.in_project(Project, "pk"), dict)
    assert "weather.ndjson" not in made(alice.api).namelist()


def test_a_new_rule_is_applied_with_the_others(alice: Person, website: Project, room: None) -> None:
    for degrees in range(5):
        assert send_report(alice.api, {"degrees": degrees}).status_code == 201
    upload(alice.api, {"a.py": [finding("one")]})
    assert retention.apply(step=2)["weather.reports"] == 5
    assert [each.product for each in Upload.across_organizations.all()] == ["insight"]


def test_without_its_room_a_rule_is_not_applied(alice: Person, settings) -> None:
    settings.ROOT_URLCONF = "tests.registries.weather"
    with weather.registered():
        send_report(alice.api, {"degrees": 1})
    assert "weather.reports" not in retention.apply()
    assert Upload.across_organizations.count() == 1


def closed_issue(person: Person, path: str) -> str:
    """The page of an issue that the second run found no more."""
    upload(person.api, {path: [finding("one", fingerprint=FINGERPRINT)]})
    upload(person.api, {})
    (issue,) = Issue.objects.for_organization(person.organization)
    assert issue.resolved == 2
    return shown(person.page(), f"/en/acme/issues/{issue.pk}/")


def test_who_closed_an_issue_tells_so_on_its_page(
    alice: Person, website: Project, room: None
) -> None:
    page = closed_issue(alice, "src/roof.py")
    assert f'<a href="/weather/{FINGERPRINT}">Blown away</a>' in page
    assert "Fixed" in page


def test_where_nobody_knows_it_is_only_fixed(alice: Person, website: Project, room: None) -> None:
    page = closed_issue(alice, "src/wall.py")
    assert "Fixed" in page
    assert "Blown away" not in page


def test_an_issue_that_is_open_is_explained_by_nobody(
    alice: Person, website: Project, room: None
) -> None:
    upload(alice.api, {"src/roof.py": [finding("one", fingerprint=FINGERPRINT)]})
    (issue,) = Issue.objects.for_organization(alice.organization)
    assert "Blown away" not in shown(alice.page(), f"/en/acme/issues/{issue.pk}/")


def test_the_first_who_knows_tells(alice: Person, website: Project, room: None) -> None:
    asked = closings.Closed(project=website, fingerprint=FINGERPRINT, path="src/roof.py", at=None)
    closings.register("test.second", lambda issue: closings.Closing("Second"))
    try:
        told = closings.closing_of(asked)
        assert told is not None
        assert told.label == "Blown away"
        with pytest.raises(ValueError, match=r"test\.second"):
            closings.register("test.second", lambda issue: None)
    finally:
        closings.unregister("test.second")


def test_without_its_room_nobody_explains(alice: Person, website: Project) -> None:
    with weather.registered():
        pass
    assert "Blown away" not in closed_issue(alice, "src/roof.py")
