"""The steps of a certificate order."""
