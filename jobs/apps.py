from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from accounts import exporting  # noqa: PLC0415 - models are ready only now
        from jobs import retention, services  # noqa: PLC0415 - models are ready only now
        from jobs.models import Job  # noqa: PLC0415 - models are ready only now
        from jobs.registry import register_periodic  # noqa: PLC0415 - models are ready only now
        from jobs.rendering import job_summary  # noqa: PLC0415 - models are ready only now

        exporting.register("jobs", exporting.in_project(Job), job_summary)
        retention.register("jobs.finished", services.forget_finished, keep="JOB_DAYS")
        retention.register("jobs.system", services.forget_system, keep=timedelta(hours=1))
        register_periodic(
            "jobs.retention",
            retention.apply,
            every=retention.EVERY,
            label=_("Removing what has been kept long enough"),
        )
        register_periodic(
            "jobs.retry_unknown",
            services.retry_unknown,
            every=timedelta(seconds=30),
            label=_("Running again what another version did not know"),
        )
