"""Which contents may be let go, indexed while the hub goes on writing."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("storage", "0009_expired_payloads")]

    operations = [
        AddIndexConcurrently(
            model_name="storedobject",
            index=models.Index(
                condition=models.Q(("expired_at__isnull", True), ("joinable", False)),
                fields=["created_at"],
                name="object_kept_by_age",
            ),
        ),
    ]
