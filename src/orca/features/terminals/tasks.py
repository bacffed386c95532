"""Periodic: terminals whose process of Orca died are ended."""

from orca.features.terminals.operations.open import end_lost
from orca.tasks import Periodic

PERIODIC = (Periodic("EndLostTerminals", 30, end_lost),)
