"""Deletes a project with all that is in it."""
