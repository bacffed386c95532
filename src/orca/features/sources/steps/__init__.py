"""The steps that bring a source tree here."""
