"""What can be set about the local connector: nothing, so that a surplus key is noticed."""

from pydantic import BaseModel, ConfigDict


class LocalConfig(BaseModel):
    """This machine needs no address and no credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)
