"""Shipped fakes and one conformance suite per provider family."""
