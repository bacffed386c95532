"""The overview a user sees first."""
