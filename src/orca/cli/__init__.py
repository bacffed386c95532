"""`orc`, the command line: uses the server's HTTP API and imports nothing of the server."""
