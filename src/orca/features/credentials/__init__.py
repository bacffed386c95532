"""Credentials of a team: deploy keys and tokens of Git hosts, and logins of image registries."""
