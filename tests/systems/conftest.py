"""The database of tests without an application."""

from tests.features.conftest import db  # noqa: F401 - a fixture
