"""One file a command: options, one call, print."""
