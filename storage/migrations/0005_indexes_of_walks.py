"""What walks look up, indexed while the hub goes on writing."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("storage", "0004_walks")]

    operations = [
        AddIndexConcurrently(
            model_name="storedfile", index=models.Index(fields=["key"], name="file_by_key")
        ),
        AddIndexConcurrently(
            model_name="storedfile",
            index=models.Index(
                condition=models.Q(("missing_since__isnull", False)),
                fields=["missing_since"],
                name="file_missing",
            ),
        ),
        AddIndexConcurrently(
            model_name="storedobject",
            index=models.Index(
                condition=models.Q(("missing_since__isnull", False)),
                fields=["missing_since"],
                name="object_missing",
            ),
        ),
    ]
