"""What is left of runs that are not kept any more."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

from frame.database.live_tables import short_locks


class Migration(migrations.Migration):
    dependencies = [("insight", "0007_index_of_order")]

    operations = [
        short_locks(),
        migrations.CreateModel(
            name="Forgotten",
            fields=[
                (
                    "stream",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="insight.stream",
                    ),
                ),
                ("through", models.IntegerField()),
                ("looks", models.JSONField(default=dict)),
            ],
            options={"abstract": False, "base_manager_name": "across_organizations"},
            managers=[("across_organizations", django.db.models.manager.Manager())],
        ),
    ]
