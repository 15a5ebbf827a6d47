"""One upload, and one transfer, for each key of a project; built while the hub goes on writing."""

from django.db import migrations, models

from frame.database.live_tables import AddUniqueConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("uploads", "0003_keys_of_uploads")]

    operations = [
        AddUniqueConcurrently(
            model_name="upload",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key__isnull", False)),
                fields=("organization", "project", "idempotency_key"),
                name="upload_key_unique",
            ),
        ),
        AddUniqueConcurrently(
            model_name="transfer",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key__isnull", False)),
                fields=("organization", "project", "idempotency_key"),
                name="transfer_project_key_unique",
            ),
        ),
    ]
