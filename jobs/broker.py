"""Redis as kombu speaks to it, with one mend."""

from __future__ import annotations

from kombu.transport import redis, virtual
from redis.exceptions import RedisError


class ForgivingQoS(redis.QoS):
    """The count of messages that a worker has in its hands, when telling Redis of one fails.

    kombu's own goes on counting a message that it could not acknowledge. A worker may have one at a
    time, so one that took up a job while Redis was away would never ask for another: it does not
    even notice that its connection is broken, because it does not read from it any more. Here the
    message is done with; nothing is lost, as the job's row is the truth.
    """

    def ack(self, delivery_tag: str) -> None:
        """Raises what stands against telling Redis; the worker logs it."""
        try:
            super().ack(delivery_tag)
        except (RedisError, OSError):
            virtual.QoS.ack(self, delivery_tag)
            raise


def install() -> None:
    """Have every channel of this process count so. Channels name their class for that."""
    redis.Channel.QoS = ForgivingQoS
