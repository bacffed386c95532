"""What every engine must do, done by a real Docker."""

import pytest

from orca.sdk.testing.containers import ContainerHostConformance

pytestmark = pytest.mark.docker


class TestDockerEngine(ContainerHostConformance):
    """`engine` and `image` come from conftest.py."""
