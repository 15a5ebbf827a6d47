"""What every page shares: durations, shares, icons, the projects at the side."""

from __future__ import annotations

import pytest
from django import forms
from django.utils import translation

from accounts.models import Project
from accounts.services import add_member, create_project
from accounts.templatetags import shell
from tests.cast import Person


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "\N{EN DASH}"), (0, "\N{EN DASH}"), (1, "1 ms"), (340.4, "340 ms"), (999, "999 ms"),
        (1_000, "1.0 s"), (4_249, "4.2 s"), (59_900, "59.9 s"), (60_000, "1 min 0 s"),
        (185_000, "3 min 5 s"), (3_600_000, "60 min 0 s"),
    ],
)  # fmt: skip
def test_durations_read_as_people_say_them(value: float | None, shown: str) -> None:
    assert shell.milliseconds(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, shell.milliseconds(None)), (0, "0%"),
        (0.0001, "< 1%"), (0.004, "< 1%"), (0.006, "1%"), (0.5, "50%"),
        (0.994, "99%"), (0.996, "> 99%"), (0.99999, "> 99%"), (1, "100%"),
    ],
)  # fmt: skip
def test_only_all_is_a_hundred_percent_and_only_nothing_is_none(
    share: float | None, shown: str
) -> None:
    assert shell.percent(share) == shown


def test_an_icon_is_an_ornament_unless_it_is_named() -> None:
    assert 'aria-hidden="true"' in shell.icon("clock")
    assert "aria-label" not in shell.icon("clock")
    named = shell.icon("clock", 'A "late" <one>')
    assert 'role="img"' in named
    assert 'aria-label="A &quot;late&quot; &lt;one&gt;"' in named
    assert "aria-hidden" not in named


class Form(forms.Form):
    name = forms.CharField()
    agreed = forms.BooleanField()


def test_a_field_is_tied_to_its_error() -> None:
    empty, wrong = Form(), Form({})
    assert 'class="form-control"' in shell.styled_field(empty["name"])
    assert 'class="form-check-input"' in shell.styled_field(empty["agreed"])
    assert "is-invalid" not in shell.styled_field(empty["name"])
    shown = shell.styled_field(wrong["name"])
    assert 'class="form-control is-invalid"' in shown
    assert 'aria-describedby="id_name_error"' in shown


def test_the_side_bar_names_the_first_projects_and_the_current_one(
    alice: Person, charlie: Person
) -> None:
    create_project(by=charlie.principal, name="AAA of another")
    made = [create_project(by=alice.principal, name=f"p{number:02}") for number in range(17)]
    beside = shell.projects_beside(alice.organization)
    assert [project.name for project in beside] == [f"p{number:02}" for number in range(15)]
    assert shell.projects_beside(alice.organization, made[3]) == beside
    with_last = shell.projects_beside(alice.organization, made[16])
    assert with_last == [*made[:14], made[16]]
    assert Project.across_organizations.count() == 18


def test_a_person_sees_the_organizations_that_they_are_in(alice: Person, charlie: Person) -> None:
    assert list(shell.organizations_of(charlie.user)) == [charlie.organization]
    add_member(user=charlie.user, role="viewer", by=alice.membership)
    assert list(shell.organizations_of(charlie.user)) == [alice.organization, charlie.organization]
    assert list(shell.organizations_of(alice.user)) == [alice.organization]


def test_durations_are_told_in_arabic_too() -> None:
    with translation.override("ar"):
        assert "340" in shell.milliseconds(340)


@pytest.mark.django_db
def test_whether_letters_are_sent_follows_the_settings(settings: object) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"  # type: ignore[attr-defined]
    assert not shell.mail_is_sent()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"  # type: ignore[attr-defined]
    assert shell.mail_is_sent()
