"""Django as a WSGI application; :mod:`odavl_hub.asgi` is what is served."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "odavl_hub.settings")

application = get_wsgi_application()
