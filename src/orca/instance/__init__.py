"""Which Orca this is: its id on engines, the key that its secrets are sealed with, and where both are on record."""
