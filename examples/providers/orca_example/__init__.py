"""Providers for Orca, in memory: an engine with its container host, a proxy and a builder."""
