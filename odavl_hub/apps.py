from django.apps import AppConfig

from odavl_hub import celery

__all__ = ["HubConfig", "celery"]


class HubConfig(AppConfig):
    name = "odavl_hub"

    def ready(self) -> None:
        from odavl_hub import checks  # noqa: F401, PLC0415 - registers itself, apps are ready now
