from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from accounts import exports
        from frame import events
        from jobs import failure_hooks, retention, services
        from jobs.models import Job
        from jobs.registry import register_periodic
        from jobs.rendering import job_summary

        events.subscribe(failure_hooks.JobGivenUp, failure_hooks.run_hook)
        exports.register("jobs", exports.in_project(Job), job_summary)
        retention.register("jobs.finished", services.delete_finished, keep="JOB_DAYS")
        retention.register("jobs.system", services.delete_system_jobs, keep=timedelta(hours=1))
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
