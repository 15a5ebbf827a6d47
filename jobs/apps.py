from datetime import timedelta

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from accounts import exporting  # noqa: PLC0415 - models are ready only now
        from jobs import services  # noqa: PLC0415 - models are ready only now
        from jobs.models import Job  # noqa: PLC0415 - models are ready only now
        from jobs.registry import register_periodic  # noqa: PLC0415 - models are ready only now
        from jobs.rendering import job_summary  # noqa: PLC0415 - models are ready only now

        exporting.register("jobs", exporting.in_project(Job), job_summary)
        register_periodic(
            "jobs.delete_finished", services.delete_finished, every=timedelta(hours=1)
        )
        register_periodic("jobs.retry_unknown", services.retry_unknown, every=timedelta(seconds=10))
