from tests.client.fixtures import home, odavl, project, small_hub

__all__ = ["home", "odavl", "project", "small_hub"]
