"""Users, passwords, browser sessions, and the claim of a new instance."""
