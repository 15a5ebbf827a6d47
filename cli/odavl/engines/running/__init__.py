"""The one way in which engines run programs of others."""
