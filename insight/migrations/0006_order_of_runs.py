"""When a run was made, apart from when it arrived."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("insight", "0005_indexes_of_waiting")]

    operations = [
        migrations.AddField(
            model_name="run", name="analysed_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(
            model_name="run",
            name="is_late",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="run",
            name="superseded_count",
            field=models.IntegerField(db_default=0, default=0),
        ),
    ]
