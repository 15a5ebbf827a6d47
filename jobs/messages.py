"""Messages about jobs: what is sent to the broker, and how many wait there."""

from __future__ import annotations

import logging
import math
from typing import Any

import kombu
from amqp.exceptions import ChannelError
from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobs.deadlines import GRACE_SECONDS
from jobs.models import Job, Priority, State
from jobs.registry import longest_timeout

logger = logging.getLogger(__name__)

TASK = "jobs.run"
CONNECT_SECONDS = 2
# The broker's steps (CELERY_BROKER_TRANSPORT_OPTIONS), where 0 goes first.
_BROKER_PRIORITY = {Priority.CRITICAL: 0, Priority.HIGH: 3, Priority.NORMAL: 6, Priority.LOW: 9}
_AWAY = (OperationalError, OSError, RedisError, AttributeError)
"""What a broker that is away raises. The last comes of redis-py, which looks for the port of a Unix
socket where Redis dies between accepting a connection and its first answer."""


def send(job: Job) -> bool:
    """Tell the workers of its queue that ``job`` waits; False when the broker is away.

    Whoever receives it takes the job whose turn it is, which may be another: so a message's own
    time limit is that of the longest job of its queue, and only the last resort
    (:mod:`jobs.deadlines`). A broker that is away raises nothing: the row is committed, and the
    relay sends the message later.
    """
    longest = max(longest_timeout(job.queue), job.timeout)
    limit = math.ceil(longest.total_seconds()) + 2 * GRACE_SECONDS
    try:
        current_app.send_task(
            TASK,
            args=[str(job.id)],
            queue=job.queue,
            retry=False,
            ignore_result=True,
            time_limit=limit,
            priority=_BROKER_PRIORITY[Priority(job.priority)],
        )
    except _AWAY as error:
        logger.warning("job %s waits for the relay, the broker is away: %s", job.id, error)
        Job.across_organizations.filter(id=job.id, state=State.WAITING).update(message_sent_at=None)
        return False
    return True


def waiting_messages(queue: str) -> int | None:
    """How many messages lie in ``queue``; None when the broker is away."""
    try:
        with current_app.connection_for_read(connect_timeout=CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, timeout=CONNECT_SECONDS)
            bound = kombu.Queue(queue, channel=connection.default_channel)
            declared: Any = bound.queue_declare(passive=True)  # typed as its name alone
            return int(declared.message_count)
    except ChannelError:
        return 0  # Redis keeps no empty lists
    except _AWAY:
        return None
