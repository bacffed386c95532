"""What is on the engine and the proxy and in no row of this database: shown, kept, and decided by a person."""
