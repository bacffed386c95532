"""One computer for all faults but the crash points: each test finds it whole, whatever the one before did."""

from collections.abc import Iterator

import pytest
from tests.faults.machine import Machine, machine


@pytest.fixture(scope="session")
def own_machine() -> Iterator[Machine]:
    with machine() as made:
        yield made


@pytest.fixture
def computer(own_machine: Machine) -> Iterator[Machine]:
    """Docker and the panel run, and the site `home` is live."""
    own_machine.heal()
    yield own_machine
    own_machine.thaw()
