"""PostgreSQL and Redis from pip wheels, children of the hub or of a test run."""

from odavl_hub.launcher.embedded.postgres import EmbeddedPostgres
from odavl_hub.launcher.embedded.redis import EmbeddedRedis
from odavl_hub.launcher.errors import EmbeddedServiceError

__all__ = ["EmbeddedPostgres", "EmbeddedRedis", "EmbeddedServiceError"]
