"""Encrypted values: written once, revealed only by permission."""
