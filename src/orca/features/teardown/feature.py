"""The manifest of teardown: a project is deleted with all that is in it, as one durable act."""

from orca.features.manifest import Feature
from orca.features.teardown import api, pages, tasks

FEATURE = Feature(name="teardown", routers=(api.router, pages.router), tasks=tasks.TASKS)
