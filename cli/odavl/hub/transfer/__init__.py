"""A payload on its way to the hub: chunking, encoding, upload."""
