"""``manage.py reset_link ADDRESS``: for who forgot their password where no mail is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from django.db.models.functions import Lower
from django.utils import translation

from accounts.mail import reset_path
from accounts.models import User


class Command(BaseCommand):
    help = (
        "Prints a link, good once, at which a person sets a new password. Only here: no log has it."
    )
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address with which the person signs in")

    def handle(self, *_args: object, **options: Any) -> None:
        email = options["email"].strip().lower()
        try:
            user = User.objects.alias(lower=Lower("email")).filter(lower=email).first()
        except OperationalError as error:
            raise CommandError(
                "The database does not answer: start the hub, and give this command the "
                "ODAVL_DATA, or DATABASE_URL and SECRET_KEY, that the hub has."
            ) from error
        if user is None:
            raise CommandError(f"Nobody here signs in as {email}.")
        if not user.is_active:
            raise CommandError(f"{email} is switched off: switch it on first (/operate/).")
        with translation.override(settings.LANGUAGE_CODE):
            self.stdout.write(f"{settings.PUBLIC_URL}{reset_path(user)}")
        days = timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT).days
        self.stderr.write(
            f"Good once, for {days} days. Whoever has it sets the password of {email}. "
            "If people reach the hub at another address, set ODAVL_PUBLIC_URL as the hub has it."
        )
