"""What retention looks up, indexed while the hub goes on writing."""

from django.db import migrations, models

from frame.database.live_tables import AddLiveIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("uploads", "0005_keys_without_the_old_constraint")]

    operations = [
        AddLiveIndex(
            model_name="transfer",
            index=models.Index(
                condition=models.Q(("state__in", ["done", "failed", "expired"])),
                fields=["expires_at"],
                name="transfer_over_by_expiry",
            ),
        ),
    ]
