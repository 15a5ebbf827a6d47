"""The way to the hub: transport, credentials, uploads and the offline queue."""
