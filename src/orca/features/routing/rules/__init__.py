"""Decisions about names, paths and certificates that need no database and no network."""
