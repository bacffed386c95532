"""The story of an order."""
