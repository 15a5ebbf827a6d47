"""Two projects may use the same key."""

from django.db import migrations

from frame.database.live_tables import short_locks


class Migration(migrations.Migration):
    dependencies = [("uploads", "0004_keys_by_project")]

    operations = [
        short_locks(),
        migrations.RemoveConstraint(model_name="transfer", name="transfer_key_unique"),
    ]
