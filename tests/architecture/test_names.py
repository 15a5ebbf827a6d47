"""No room names one that it may not import, in whatever string or template."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.check_names import ALLOWED, House, check, house_of
from tests.rooms import ROOMS, ROOT

LAYERS = (
    ("odavl_hub",),
    ("dashboard",),
    ("insight", "autopilot", "guardian"),
    ("uploads", "teams"),
    ("storage",),
)
URLS = """
from django.urls import path
app_name = "{room}"
urlpatterns = [path("", pages.one, name="one")]
"""
FORBIDDEN = {
    "the route of a product": ("uploads/pages.py", 'reverse("insight:one")'),
    "a route of the room above": ("storage/pages.py", 'redirect("uploads:one")'),
    "a route of the room beside": ("uploads/pages.py", 'reverse("teams:one", args=[1])'),
    "a route without a namespace": ("storage/pages.py", 'reverse("upload-status")'),
    "a product": ("uploads/pages.py", 'is_test = upload.product == "guardian"'),
    "a product in an f-string": ("storage/pages.py", 'scope = f"insight:{level}"'),
    "the job of another product": ("autopilot/tasks.py", 'type = "guardian.results"'),
    "a job of the room above": ("storage/tasks.py", 'TYPE = "uploads.assemble"'),
    "a template of another product": ("guardian/pages.py", 'render(r, "insight/run.html")'),
    "an include from above": ("storage/templates/a.html", '{% include "teams/_row.html" %}'),
    "an include from another product": (
        "guardian/templates/a.html", "{% include 'insight/_run_rows.html' with runs=runs %}",
    ),
    "a frame from above": ("storage/templates/a.html", '{% extends "dashboard/page.html" %}'),
    "tags from above": ("storage/templates/a.html", "{% load i18n shell %}"),
    "a link upwards": ("storage/templates/a.html", '<a href="{% url "teams:one" slug %}">'),
    "a link to a product beside": ("guardian/templates/a.html", '{% url "insight:one" slug %}'),
    "a link to a product in the menu": (
        "odavl_hub/templates/a.html", "<p>\n{% url 'insight:one' organization.slug %}",
    ),
    "a link from the overview": ("dashboard/templates/a.html", '{% url "insight:one" 1 %}'),
}  # fmt: skip
FINE = {
    "its own route": ("insight/pages.py", 'reverse("insight:one")'),
    "a route below": ("teams/pages.py", 'reverse("storage:one")'),
    "its own job": ("insight/tasks.py", 'TYPE = "insight.ingest"'),
    "what people read": ("storage/pages.py", '"""In Insight, insight:one and uploads.x."""'),
    "a word that begins alike": ("storage/pages.py", 'TEXT = "insightful", "uploadsomething"'),
    "a route that nobody has": ("storage/pages.py", 'reverse("account_login")'),
    "a base template": ("storage/templates/a.html", '{% extends "shell.html" %}'),
    "an include from below": ("insight/templates/a.html", '{% include "storage/_usage.html" %}'),
    "a dashboard shows rows": ("dashboard/templates/a.html", '{% include "insight/_rows.html" %}'),
    "a link within the room": ("insight/templates/a.html", '{% url "insight:one" slug %}'),
    "a migration": ("storage/migrations/0001_a.py", 'x = "uploads.Upload"'),
}


def house(folder: Path, place: str, text: str) -> House:
    """Rooms with a page each, and ``text`` at ``place``."""
    for room in [room for layer in LAYERS for room in layer]:
        (folder / room / "templatetags").mkdir(parents=True)
        (folder / room / "urls.py").write_text(URLS.format(room=room))
    (folder / "dashboard/templatetags/shell.py").touch()
    (folder / "uploads/urls_api.py").write_text('urlpatterns = [path("", x, name="upload-status")]')
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return House(folder, LAYERS, ("insight", "autopilot", "guardian"))


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_room_that_names_one_it_may_not_know_is_found(what, tmp_path):
    place, text = FORBIDDEN[what]
    (found,) = check(house(tmp_path, place, text))
    assert found.path == place
    assert found.line == text.count("\n") + 1


@pytest.mark.parametrize("what", FINE)
def test_what_a_room_may_know_is_left_alone(what, tmp_path):
    assert check(house(tmp_path, *FINE[what])) == []


def test_no_room_of_the_house_does():
    assert check(house_of(ROOT)) == []


def test_all_rooms_are_looked_at():
    assert set(house_of(ROOT).rooms) == set(ROOMS)


def test_each_exception_has_its_reason_and_is_needed(monkeypatch):
    allowed = dict(ALLOWED)
    monkeypatch.setattr("scripts.check_names.ALLOWED", {})
    assert {(each.path, each.name) for each in check(house_of(ROOT))} == set(allowed)
    assert all(allowed.values())
