"""The offline queue: what could not be sent, whole, until it is."""
