"""How many workers a job has lost. The default is the database's, for the version before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_job_project")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="losses",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
    ]
