"""What an ingest and lists look for, indexed while the hub goes on writing."""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

from frame.database.live_tables import AddLiveIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("insight", "0004_stream_last_run_at")]

    operations = [
        AddLiveIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("state", "queued")),
                fields=["stream", "sequence"],
                name="run_queued",
            ),
        ),
        AddLiveIndex(
            model_name="issue",
            index=models.Index(fields=["stream", "-severity", "id"], name="issue_by_severity"),
        ),
        AddLiveIndex(
            model_name="issue",
            index=models.Index(
                condition=models.Q(("resolved__isnull", True)),
                fields=["stream", "path"],
                name="issue_unresolved_path",
            ),
        ),
        AddLiveIndex(
            model_name="issue",
            index=models.Index(fields=["stream", "introduced", "resolved"], name="issue_lives"),
        ),
        # Looked up with the one before.
        RemoveIndexConcurrently(model_name="issue", name="issue_introduced"),
        AddLiveIndex(
            model_name="pastinterval",
            index=models.Index(fields=["stream", "resolved"], name="past_interval_end"),
        ),
    ]
