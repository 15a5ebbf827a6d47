from django.apps import AppConfig


class HubConfig(AppConfig):
    name = "odavl_hub"
