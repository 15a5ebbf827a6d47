"""Indexes on a table that is being written: built beside it."""

from django.db import migrations, models

from frame.database.live_tables import AddLiveIndex

UNFINISHED = ["waiting", "active", "delayed", "paused"]
UNIQUE = "job_system_unfinished_unique"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs", "0004_system_jobs")]

    operations = [
        AddLiveIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "waiting")),
                fields=["queue", "priority", "organization", "run_at"],
                name="job_turns",
            ),
        ),
        # Django adds a unique constraint with a condition as an index, but never beside writers.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [
                        f"DROP INDEX CONCURRENTLY IF EXISTS {UNIQUE}",
                        f"CREATE UNIQUE INDEX CONCURRENTLY {UNIQUE} ON jobs_job"
                        " (type, deduplication_key) WHERE organization_id IS NULL"
                        " AND state IN ('waiting', 'active', 'delayed', 'paused')",
                    ],
                    f"DROP INDEX CONCURRENTLY IF EXISTS {UNIQUE}",
                )
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="job",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("organization", None), ("state__in", UNFINISHED)),
                        fields=("type", "deduplication_key"),
                        name=UNIQUE,
                    ),
                )
            ],
        ),
    ]
