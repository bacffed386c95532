"""The orc command: talks HTTP to a server and imports nothing of it."""
