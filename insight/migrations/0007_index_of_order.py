"""The latest analyses of a stream, indexed while the hub goes on writing."""

from django.db import migrations, models

from frame.database.live_tables import AddLiveIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("insight", "0006_order_of_runs")]

    operations = [
        AddLiveIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("state", "completed")),
                fields=["stream", "-analysed_at"],
                name="run_by_analysis",
            ),
        ),
    ]
