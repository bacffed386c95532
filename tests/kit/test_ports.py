"""Ports that are offered instead of taken ones."""

import pytest

from orca.kit.ports import find_free


@pytest.mark.parametrize(
    ("port", "taken", "other"),
    [(80, [], 8080), (443, [80], 8443), (80, [8080, 8081], 8082), (8080, [8080], 8081), (65535, [], 8535)],
)
def test_another_port_is_offered(port: int, taken: list[int], other: int):
    assert find_free(port, taken) == other
