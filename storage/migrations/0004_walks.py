"""How far walks have come, and which bytes were not found: columns without a default."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("storage", "0003_files")]

    operations = [
        migrations.CreateModel(
            name="Walk",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("cursor", models.TextField(blank=True)),
                ("begun_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name="storedfile",
            name="missing_since",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="storedobject",
            name="missing_since",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
