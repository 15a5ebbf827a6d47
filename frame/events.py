"""What happened, told to whoever wants to know, once it is committed.

An event is a struct of the room in which it happens. Rooms above subscribe in the ``ready`` of
their ``apps.py``. A process that dies between the commit and the telling tells nobody, so who must
not miss an event looks itself from time to time.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.db import transaction

logger = logging.getLogger(__name__)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Ids and words, no rows: they may have changed when a listener reads them."""


EventT = TypeVar("EventT", bound=Event)
Listener = Callable[[EventT], None]

_listeners: defaultdict[type[Event], list[Listener[Any]]] = defaultdict(list)


def subscribe(event: type[EventT], listener: Listener[EventT]) -> None:
    """Have ``listener`` called for every such event, in a transaction of its own.

    What it raises is logged, and keeps neither the publisher nor another listener from anything.
    """
    _listeners[event].append(listener)


def unsubscribe(event: type[EventT], listener: Listener[EventT]) -> None:
    _listeners[event].remove(listener)


def publish(event: Event) -> None:
    """Tell the listeners after the caller's transaction; nobody, if that is rolled back."""
    for listener in _listeners[type(event)]:
        transaction.on_commit(partial(_tell, listener, event), robust=True)


def _tell(listener: Listener[Any], event: Event) -> None:
    try:
        with transaction.atomic():
            listener(event)
    except Exception:
        logger.exception("%r could not be told to a listener", event)
