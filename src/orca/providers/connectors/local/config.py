"""The configuration of the local connector: empty, so that any key is reported as an error."""

from pydantic import BaseModel, ConfigDict


class LocalConfig(BaseModel):
    """This machine needs no address and no credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)
