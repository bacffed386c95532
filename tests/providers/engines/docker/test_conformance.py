"""What every container host and every engine must do, done by a real Docker."""

import pytest

from orca.sdk.testing.containers import ContainerHostConformance
from orca.sdk.testing.engines import EngineConformance

pytestmark = pytest.mark.docker


class TestDockerHost(ContainerHostConformance):
    """`host` and `image` come from conftest.py."""


class TestDockerEngine(EngineConformance):
    """`engine` and `image` come from conftest.py."""
