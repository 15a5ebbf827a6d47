"""The WSGI entry point: ``granian --interface wsgi odavl_hub.wsgi:application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "odavl_hub.settings")

application = get_wsgi_application()
