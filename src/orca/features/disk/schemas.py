"""What the doors of the disk answer."""

from pydantic import BaseModel, Field


class Kept(BaseModel):
    """One kind of thing that is kept."""

    name: str
    count: int
    bytes: int | None = Field(description="What removing all of it would free; null where that is not measured.")
    rule: str = Field(description="For how long, or up to which size, it is kept.")
    settings: list[str] = Field(description="The settings that say so.")


class DiskOut(BaseModel):
    """How much room there is, and what takes it."""

    total_bytes: int = Field(description="Of the file system with the data directory.")
    free_bytes: int
    reserve_bytes: int = Field(description="Builds and uploads are refused when less than this would stay free.")
    items: list[Kept]
    problems: list[str] = Field(description="What could not be looked at.")
