"""PostgreSQL and Redis from pip wheels, children of the hub or of a test run."""

from odavl_hub.launcher.embedded.errors import EmbeddedServiceError
from odavl_hub.launcher.embedded.postgres import EmbeddedPostgres
from odavl_hub.launcher.embedded.redis import EmbeddedRedis

__all__ = ["EmbeddedPostgres", "EmbeddedRedis", "EmbeddedServiceError"]
