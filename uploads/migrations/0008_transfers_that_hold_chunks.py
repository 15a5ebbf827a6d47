"""What is asked at each announcement, indexed while the hub goes on writing."""

from django.db import migrations, models

from frame.database.live_tables import AddLiveIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("uploads", "0007_chunks_of_transfers")]

    operations = [
        AddLiveIndex(
            model_name="transfer",
            index=models.Index(
                condition=models.Q(("state__in", ["open", "assembling", "failed"])),
                fields=["organization"],
                name="transfer_holding",
            ),
        ),
    ]
