"""Orca: one self-hosted control plane for every server you own."""

__version__ = "0.1.0"
