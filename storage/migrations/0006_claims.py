import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("storage", "0005_indexes_of_walks")]

    operations = [
        migrations.CreateModel(
            name="ObjectClaim",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.CharField(max_length=500)),
                ("removes", models.BooleanField()),
                ("until", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["key"], name="claim_by_key")],
            },
        ),
    ]
