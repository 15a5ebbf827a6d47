"""What an ingest and lists look for, indexed while the hub goes on writing."""

from django.db import migrations, models

from accounts.live_indexes import AddLiveIndex


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
    ]
