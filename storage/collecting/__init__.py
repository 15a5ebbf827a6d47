"""Collecting what nothing refers to: expired files, orphans, and rows whose bytes are gone."""
