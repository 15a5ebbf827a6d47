"""Jobs of the hub itself, jobs that wait for what is away, and the database's clock.

No row is rewritten. The defaults are the database's, for the version before.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

QUEUES = [
    ("interactive", "Interactive"),
    ("default", "Default"),
    ("bulk", "Bulk"),
    ("system", "System"),
]
AWAITED = [
    ("store", "the object store"),
    ("room", "free disk space"),
    ("database", "the database"),
    ("turn", "another job of the same kind"),
]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_cache_table"), ("jobs", "0003_job_losses")]

    operations = [
        # Behind a long transaction everybody would wait for this one: rather fail, and be run again.
        migrations.RunSQL("SET LOCAL lock_timeout = '5s'", migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="job",
            name="organization",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="jobs",
                to="accounts.organization",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="queue",
            field=models.CharField(choices=QUEUES, default="default", max_length=16),
        ),
        migrations.AlterField(
            model_name="job", name="run_at", field=models.DateTimeField(db_default=Now())
        ),
        migrations.AlterField(
            model_name="job",
            name="created_at",
            field=models.DateTimeField(db_default=Now(), editable=False),
        ),
        migrations.AddField(
            model_name="job",
            name="waiting_for",
            field=models.CharField(blank=True, choices=AWAITED, db_default="", max_length=16),
        ),
        migrations.AddField(
            model_name="job",
            name="waiting_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="Turn",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("queue", models.CharField(choices=QUEUES, max_length=16)),
                ("served_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "across_organizations",
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "queue"), name="turn_unique")
                ],
            },
            managers=[("across_organizations", django.db.models.manager.Manager())],
        ),
    ]
