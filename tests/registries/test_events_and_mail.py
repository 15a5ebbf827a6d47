"""Whoever subscribes hears of what is committed; whoever registers a message can send it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.utils import translation

from accounts import mail
from accounts.services import create_user
from frame import events
from jobs import execution, registry, services
from jobs.failure_hooks import JobGivenUp
from jobs.models import Job, State
from tests.accounts.test_mail import _all_sent, _send_to
from tests.cast import PASSWORD, Person
from tests.mail_server import MailServer
from tests.registries import weather


class Rain(events.Event, frozen=True, kw_only=True):
    millimetres: int


class Snow(events.Event, frozen=True, kw_only=True):
    pass


@pytest.fixture
def heard() -> Iterator[list[events.Event]]:
    told: list[events.Event] = []
    events.subscribe(Rain, told.append)
    yield told
    events.unsubscribe(Rain, told.append)


def enqueue(person: Person) -> Job:
    return services.enqueue(
        organization=person.organization,
        job_type=weather.FORECAST_JOB,
        payload={"isHopeless": True},
    )


@pytest.mark.django_db(transaction=True)
def test_a_listener_hears_of_a_job_that_a_worker_gave_up(alice: Person, room: None) -> None:
    job = enqueue(alice)
    assert execution.run(job.pk)
    job.refresh_from_db()
    if job.state != State.FAILED:  # held errors are tried again
        services.cancel(job)
    assert weather.given_up == [JobGivenUp(job_id=job.pk, job_type=weather.FORECAST_JOB)]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_did_not_happen(heard: list[events.Event]) -> None:
    with transaction.atomic():
        events.publish(Rain(millimetres=1))
        transaction.set_rollback(True)
    with transaction.atomic():
        events.publish(Rain(millimetres=2))
        assert heard == []
    assert heard == [Rain(millimetres=2)]


@pytest.mark.django_db(transaction=True)
def test_only_what_was_asked_for_is_told(heard: list[events.Event]) -> None:
    events.publish(Snow())
    assert heard == []


@pytest.mark.django_db(transaction=True)
def test_a_listener_that_fails_is_rolled_back_and_keeps_no_other_from_hearing(
    alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[events.Event] = []

    def fail(event: Rain) -> None:
        create_user(email="nobody@example.com", password=PASSWORD, name="Nobody")
        raise ZeroDivisionError

    for listener in (fail, told.append):
        events.subscribe(Rain, listener)
    try:
        events.publish(Rain(millimetres=3))
    finally:
        for listener in (fail, told.append):
            events.unsubscribe(Rain, listener)
    assert told == [Rain(millimetres=3)]
    assert "Rain(millimetres=3) could not be told" in caplog.text
    assert not type(alice.user).objects.filter(email="nobody@example.com").exists()


@pytest.mark.django_db(transaction=True)
def test_without_its_room_nobody_hears(alice: Person) -> None:
    with weather.registered():
        job = enqueue(alice)
    services.cancel(job)
    assert weather.given_up == []
    assert weather.FORECAST_JOB not in {each.name for each in registry.job_types()}


@pytest.fixture
def mail_server(settings) -> Iterator[MailServer]:
    with MailServer() as server:
        _send_to(server, settings)
        yield server


def test_a_new_letter_is_sent_in_the_hubs_language(
    alice: Person, room: None, mail_server: MailServer, settings
) -> None:
    settings.PUBLIC_URL = "https://odavl.example"
    with translation.override("ar"):
        mail.write("weather.storm", alice.user, place="100 % of\r\nAcme")
    mail.write(
        "weather.storm", alice.user, address="https://odavl.example/en/acme/", place="Website"
    )
    first, second = mail_server.wait_for(2)
    assert (first["To"], first["Subject"]) == (
        "alice@example.com", "ODAVL: Storm over 100 % of Acme",
    )  # fmt: skip
    text = first.get_payload(decode=True).decode()
    assert text.replace("\r\n", "\n").strip() == (
        "Stay in 100 % of\nAcme.\n\nhttps://odavl.example/"
    )
    assert second.get_payload(decode=True).decode().strip().endswith("/en/acme/")


def test_the_hubs_own_letter_is_registered_and_translated(
    alice: Person, mail_server: MailServer
) -> None:
    assert mail.GUESSING in mail.messages()
    mail.write(mail.GUESSING.name, alice.user)
    (letter,) = mail_server.wait_for(1)
    assert letter["Subject"] == "ODAVL: Somebody guesses your password"
    for each in mail.messages():
        with translation.override("ar"):
            arabic = (str(each.subject), str(each.text))
        with translation.override("en"):
            assert arabic[0] != str(each.subject)
            assert arabic[1] != str(each.text)


def test_who_may_not_sign_in_gets_no_letter(
    alice: Person, room: None, mail_server: MailServer
) -> None:
    alice.user.is_active = False
    mail.write("weather.storm", alice.user, place="Acme")
    _all_sent()
    assert mail_server.letters == []


def test_without_its_room_there_is_no_such_letter(alice: Person, mail_server: MailServer) -> None:
    with weather.registered(), pytest.raises(ValueError, match=r"weather\.storm"):
        mail.register(weather.STORM)
    with pytest.raises(KeyError):
        mail.write("weather.storm", alice.user)
