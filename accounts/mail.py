"""Letters by e-mail, sent where a mail server is set, and never into a log.

Owners register the messages that they send in the ``ready`` of their ``apps.py``.

They are handed to a thread: the answer neither waits for a slow mail server nor tells by its time
whether there was anything to send.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from accounts.models import User
from frame.rate_limits import Claim, Limit, take

_log = logging.getLogger(__name__)
NOT_SENT = "django.core.mail.backends.dummy.EmailBackend"
"""What ``EMAIL_BACKEND`` is without a mail server."""
_TO_ONE_MAILBOX = (Limit(3, 15 * 60), Limit(10, 86_400))
_MOST_WAITING = 100
_waiting = threading.BoundedSemaphore(_MOST_WAITING)
_sender = ThreadPoolExecutor(1, thread_name_prefix="mail")


def is_configured() -> bool:
    """Whether this hub has a mail server."""
    return bool(settings.EMAIL_BACKEND != NOT_SENT)


def may_send(email: str) -> bool:
    """Whether ``email`` may get one more message now: nobody's mailbox is to be filled by us."""
    digest = hashlib.sha256(email.strip().casefold().encode("utf-8", "replace")).hexdigest()
    return take(Claim(f"letter:{digest[:32]}", _TO_ONE_MAILBOX)) is None


def send(message: EmailMessage) -> None:
    """Send ``message`` soon. What fails is told in the log, without what it says."""
    if not _waiting.acquire(blocking=False):
        _log.error("Too many letters wait for the mail server; one was dropped.")
        return
    _sender.submit(_send, message)


@dataclass(frozen=True, slots=True)
class Message:
    """A kind of mail to a person. ``%(name)s`` in its words stands for what is told of."""

    name: str
    subject: str | Promise
    text: str | Promise


GUESSING = Message(
    "accounts.guessing",
    subject=gettext_lazy("Somebody guesses your password"),
    text=gettext_lazy(
        "Many wrong passwords for your account came from many addresses. None of them was "
        "right, and you need not do anything. For a while you can sign in only where you "
        "signed in before. A password that you use nowhere else is the best protection."
    ),
)
_messages: dict[str, Message] = {}


def register(message: Message) -> None:
    """Raises :class:`ValueError` for a second kind of that name."""
    if message.name in _messages:
        raise ValueError(f"There is a message {message.name!r}.")
    _messages[message.name] = message


def unregister(name: str) -> None:
    del _messages[name]


def messages() -> tuple[Message, ...]:
    return tuple(_messages.values())


def write(name: str, user: User, *, address: str = "", **facts: str) -> None:
    """Send ``user`` the message of that name, if this hub sends any, in the hub's own language.

    Not in that of the request, which may be another person's. ``address`` is where the message
    leads, on its last line; the hub's own without it.
    """
    if not is_configured() or not user.is_active:
        return
    message = _messages[name]
    with translation.override(settings.LANGUAGE_CODE):
        subject, text = (
            str(words) % facts if facts else str(words) for words in (message.subject, message.text)
        )
    address = address or f"{settings.PUBLIC_URL}/"
    subject = " ".join(f"ODAVL: {subject}".split())
    send(EmailMessage(subject, f"{text}\n\n{address}", to=[user.email]))


def reset_path(user: User) -> str:
    """The path where ``user`` sets a new password, once, within ``PASSWORD_RESET_TIMEOUT``."""
    return path_of_key(f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}")


def path_of_key(key: str) -> str:
    """``key`` as django-allauth makes it: the person and a token, with a hyphen between."""
    person, _, token = key.partition("-")
    return reverse("account_reset_password_from_key", args=[person, token])


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except Exception as error:  # noqa: BLE001 - of any backend; its text may hold the mail
        code = getattr(error, "smtp_code", "")
        _log.error("A letter could not be sent: %s %s", type(error).__name__, code)
    finally:
        _waiting.release()
