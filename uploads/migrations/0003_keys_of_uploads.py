"""An upload remembers its ``Idempotency-Key`` and what was answered to it."""

from django.db import migrations, models

from frame.database.live_tables import short_locks


class Migration(migrations.Migration):
    dependencies = [("uploads", "0002_transfers")]

    operations = [
        short_locks(),
        migrations.AddField(
            model_name="upload", name="answer", field=models.BinaryField(null=True)
        ),
        migrations.AddField(
            model_name="upload", name="answer_status", field=models.SmallIntegerField(null=True)
        ),
        migrations.AddField(
            model_name="upload",
            name="idempotency_key",
            field=models.CharField(max_length=255, null=True),
        ),
        migrations.AddField(
            model_name="upload",
            name="request_digest",
            field=models.CharField(max_length=64, null=True),
        ),
    ]
