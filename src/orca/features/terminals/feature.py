"""The manifest of terminals."""

from orca.features.manifest import EventWords, Feature, Permission, Verb
from orca.features.terminals import api, tasks
from orca.features.terminals.operations.open import end_all

FEATURE = Feature(
    name="terminals",
    sockets=api.SOCKETS,
    permissions=(Permission("service.shell", "Open a terminal in a running container of a service.", "member"),),
    verbs=(Verb("Open a shell in {}", "#shell", "terminal", "service.shell", 45, only_when="running"),),
    events=(EventWords("Terminal", "services"),),
    periodic=tasks.PERIODIC,
    finish=end_all,
)
