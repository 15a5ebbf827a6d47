"""The constraints of keys by project, built while the hub goes on writing."""

from django.db import migrations, models

from frame.database.live_tables import AddUniqueConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0003_idempotency_by_project")]

    operations = [
        AddUniqueConcurrently(
            model_name="idempotencyrecord",
            constraint=models.UniqueConstraint(
                condition=models.Q(("project", None)),
                fields=("organization", "key"),
                name="idempotency_organization_key",
            ),
        ),
        AddUniqueConcurrently(
            model_name="idempotencyrecord",
            constraint=models.UniqueConstraint(
                condition=models.Q(("project__isnull", False)),
                fields=("organization", "project", "key"),
                name="idempotency_project_key",
            ),
        ),
    ]
