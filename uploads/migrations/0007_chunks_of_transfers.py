"""A transfer says how many chunks it holds, for the bounds on those under way."""

from django.db import migrations, models

from frame.database.live_tables import short_locks


class Migration(migrations.Migration):
    dependencies = [("uploads", "0006_transfers_that_are_over")]

    operations = [
        short_locks(),
        migrations.AddField(
            model_name="transfer",
            name="chunk_count",
            field=models.IntegerField(db_default=0, default=0),
        ),
    ]
