"""Built-in providers; reached through entry points only."""
