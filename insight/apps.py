from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InsightConfig(AppConfig):
    name = "insight"

    def ready(self) -> None:
        from accounts import navigation
        from insight import exports, failed_runs, receiving
        from insight import retention as forgetting
        from insight.payload_types import PAYLOAD_TYPES
        from jobs import registry as jobs
        from jobs import retention
        from uploads import registry as uploads

        exports.register_all()
        navigation.register(
            navigation.Page(name=navigation.PROJECT, route="insight:project", of_project=True)
        )
        navigation.register(
            navigation.Page(
                name="issues",
                route="insight:issues",
                of_project=True,
                menu=navigation.PROJECT_MENU,
                order=10,
                label=_("Issues"),
            )
        )
        navigation.register(
            navigation.Page(
                name="runs",
                route="insight:runs",
                of_project=True,
                menu=navigation.PROJECT_MENU,
                order=20,
                label=_("Runs"),
            )
        )
        uploads.register(*PAYLOAD_TYPES)
        jobs.register(
            receiving.INGEST_JOB,
            receiving.run_ingest_job,
            queue="bulk",
            timeout=timedelta(minutes=30),
            area="insight",
            label=_("Taking in a run"),
            page=receiving.page_of_run,
            on_failure=receiving.fail_ingest,
            on_retry=receiving.retry_ingest,
        )
        jobs.register_periodic(
            "insight.abandon_runs",
            failed_runs.fail_runs_of_dead_jobs,
            every=timedelta(minutes=1),
            label=_("Giving up runs whose job was given up"),
        )
        retention.register("insight.runs", forgetting.delete_old_runs, keep="RUN_DAYS")
        retention.register("insight.intervals", forgetting.delete_old_intervals, keep="RUN_DAYS")
