"""Contents that have lost a reference, to be looked at."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("storage", "0006_claims")]

    operations = [
        migrations.CreateModel(
            name="ReleasedContent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("stored_id", models.UUIDField()),
                ("released_at", models.DateTimeField(db_default=Now())),
            ],
        ),
    ]
