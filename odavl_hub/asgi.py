"""What granian serves: ``granian --interface asginl odavl_hub.asgi:application``."""

from frame.database.timeouts import ProcessKind, serve_as
from odavl_hub import env
from odavl_hub.front_door.allocator import keep_freed_memory
from odavl_hub.front_door.asgi_bridge import Desk
from odavl_hub.front_door.capacity import capacity
from odavl_hub.front_door.request_body import Patience
from odavl_hub.wsgi import application as wsgi_application

keep_freed_memory()
serve_as(ProcessKind.WEB)
application = Desk(
    wsgi_application,
    capacity=capacity(),
    patience=Patience(seconds=env.integer("WEB_PATIENCE", 20, at_least=1)),
)
