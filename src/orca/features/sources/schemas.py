"""The API's models of sources and uploads."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from orca.features.sources.addresses import read_pasted
from orca.features.sources.rules import GitRef, ImageRef, RepoUrl, parse_subdirectory
from orca.kit.fields import Identifier, Output, Strict
from orca.web.validators import normalised_by, parsed_by


class GitSource(Strict):
    """A Git repository. Give a branch, a tag or a commit; with none the default branch is used."""

    type: Literal["git"] = "git"
    repository: Annotated[str, parsed_by(RepoUrl.parse)] = Field(
        description="https:// or ssh URL, git@host:path, or an address from the browser."
    )
    branch: Annotated[str, parsed_by(GitRef.parse)] | None = None
    tag: Annotated[str, parsed_by(GitRef.parse)] | None = None
    commit: Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")] | None = Field(
        None, description="A whole commit id: 40 or 64 hexadecimal digits."
    )
    subdirectory: Annotated[str, normalised_by(parse_subdirectory)] = Field(
        "", description="Build only this folder of the repository."
    )
    credential_id: Identifier | None = Field(None, description="Deploy key or token for a private repository.")
    submodules: bool = Field(
        True, description="Whether repositories inside of it are fetched, too; credentials go to its own host only."
    )

    @model_validator(mode="before")
    @classmethod
    def _take_apart(cls, data: Any) -> Any:
        """Split an address from a browser, which may also name a branch and a folder; explicit fields win."""
        if not isinstance(data, dict) or not isinstance(data.get("repository"), str):
            return data
        found = read_pasted(data["repository"])
        refs = {"branch": found.branch, "tag": found.tag, "commit": found.commit}
        said = {name: value for name, value in refs.items() if value}
        if any(data.get(name) for name in refs):
            said = {}
        if found.subdirectory and not data.get("subdirectory"):
            said["subdirectory"] = found.subdirectory
        return {**data, **said, "repository": found.repository}

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if sum(value is not None for value in (self.branch, self.tag, self.commit)) > 1:
            raise ValueError("give only one of branch, tag and commit")
        return self


class DirectorySource(Strict):
    """A local directory that `orc deploy` sends. `upload_id` names the tree that was sent last."""

    type: Literal["directory"] = "directory"
    upload_id: Identifier | None = None


class ImageSource(Strict):
    """A ready image; its digest is resolved at each deployment and pinned in the release."""

    type: Literal["image"] = "image"
    image: Annotated[str, parsed_by(ImageRef.parse)] = Field(description="registry/name:tag or name@sha256:….")
    credential_id: Identifier | None = Field(None, description="Login for a private registry.")


Source = Annotated[GitSource | DirectorySource | ImageSource, Field(discriminator="type")]


class UploadOut(Output):
    """A source tree that was sent."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    service_id: str
    sha256: str
    size_bytes: int
    created_at: datetime
