from datetime import timedelta

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from jobs import services  # noqa: PLC0415 - models are ready only now
        from jobs.registry import register_periodic  # noqa: PLC0415 - models are ready only now

        register_periodic(
            "jobs.delete_finished", services.delete_finished, every=timedelta(hours=1)
        )
