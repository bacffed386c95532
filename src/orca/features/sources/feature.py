"""The manifest of sources: uploads, and the checkout of repositories."""

from orca.features.manifest import EventWords, Feature
from orca.features.sources import api, tasks
from orca.features.sources.actions.uploads import forget_uploads

FEATURE = Feature(
    name="sources",
    routers=(api.router,),
    tags={"sources": "Uploaded folders."},
    events=(EventWords("Upload", "deployments"),),
    periodic=tasks.PERIODIC,
    subscribers=(("ServiceDeleted", forget_uploads),),
)
