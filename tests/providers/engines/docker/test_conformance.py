"""What every engine must do, done by a real Docker."""

import pytest

from orca.sdk.testing.engines import EngineConformance

pytestmark = pytest.mark.docker


class TestDockerEngine(EngineConformance):
    """`engine` and `image` come from conftest.py."""
