"""Files or pages in, documents out: no terminal, no hub, no Django."""
