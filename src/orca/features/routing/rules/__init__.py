"""Decisions about names, places and certificates that need no database and no network."""
