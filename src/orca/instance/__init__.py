"""The identity of this Orca: its id on engines, the key of its secrets, and where both are recorded."""
