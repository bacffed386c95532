"""What services write, on disk beyond their containers: stored, searched and shown."""
