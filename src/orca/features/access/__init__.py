"""Who may do what: teams, roles, permissions, API tokens."""
