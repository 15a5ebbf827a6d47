"""What granian serves: ``granian --interface asginl odavl_hub.asgi:application``."""

from frame.database.timeouts import ProcessKind, serve_as
from odavl_hub import env
from odavl_hub.front_door.asgi_bridge import AsgiBridge
from odavl_hub.front_door.capacity import capacity, keep_freed_memory
from odavl_hub.front_door.request_body import ClientDeadline
from odavl_hub.wsgi import application as wsgi_application

keep_freed_memory()
serve_as(ProcessKind.WEB)
application = AsgiBridge(
    wsgi_application,
    capacity=capacity(),
    deadline=ClientDeadline(seconds=env.integer("WEB_PATIENCE", 20, at_least=1)),
)
