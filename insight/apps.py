from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InsightConfig(AppConfig):
    name = "insight"

    def ready(self) -> None:
        from insight import exports, failed_runs, receiving
        from insight import retention as forgetting
        from jobs import registry as jobs
        from jobs import retention
        from uploads import registry as uploads

        exports.register_all()
        uploads.register("insight", receiving.InsightHandler())
        jobs.register(
            receiving.INGEST_JOB,
            receiving.run_ingest_job,
            queue="bulk",
            timeout=timedelta(minutes=30),
            area="insight",
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
