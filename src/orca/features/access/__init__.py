"""Authorisation: teams, roles, permissions, API tokens."""
