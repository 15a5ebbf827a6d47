from django.apps import AppConfig
from django.db.backends.signals import connection_created

from frame.database.timeouts import set_timeouts


class FrameConfig(AppConfig):
    name = "frame"

    def ready(self) -> None:
        connection_created.connect(set_timeouts)
