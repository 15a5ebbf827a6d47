"""An ``Idempotency-Key`` means something within a project: first the new rule, beside the old."""

import django.db.models.deletion
from django.db import migrations, models

from frame.database.live_tables import short_locks


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_cache_table")]

    operations = [
        short_locks(),
        migrations.AddField(
            model_name="idempotencyrecord",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.project",
            ),
        ),
    ]
