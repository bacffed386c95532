"""The steps that fetch a source tree."""
