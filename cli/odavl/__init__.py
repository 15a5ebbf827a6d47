"""ODAVL: the command line, the engines and the wire format shared with the hub."""

__version__ = "0.1.0"
