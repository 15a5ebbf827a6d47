"""Two projects may use the same key."""

from django.db import migrations

from frame.database.live_tables import short_locks


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_idempotency_constraints")]

    operations = [
        short_locks(),
        migrations.RemoveConstraint(
            model_name="idempotencyrecord", name="idempotency_key_unique"
        ),
    ]
