"""One folder tells one story."""
