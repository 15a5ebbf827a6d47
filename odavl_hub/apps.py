from django.apps import AppConfig

from odavl_hub import celery

__all__ = ["HubConfig", "celery"]


class HubConfig(AppConfig):
    name = "odavl_hub"
