import pytest

pytest.register_assert_rewrite("orca.sdk.testing.connectors", "orca.sdk.testing.containers", "orca.sdk.testing.engines")
