"""`orc`, the command line: talks HTTP to a server and imports nothing of it."""
