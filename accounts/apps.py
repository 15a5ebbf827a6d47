from django.apps import AppConfig
from django.db.backends.signals import connection_created


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import exported  # noqa: PLC0415 - models are ready only now
        from accounts.connections import set_timeouts  # noqa: PLC0415

        connection_created.connect(set_timeouts)
        exported.register_all()
