"""Writes of deployments: one file per verb."""
