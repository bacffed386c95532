"""Checks before any change whether database, key, data directory and containers belong together."""
