"""Who is asking: users, passwords, sessions, the first claim."""
