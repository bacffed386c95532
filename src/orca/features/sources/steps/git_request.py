"""The request for a checkout, and its result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orca.features.sources.rules import GitRef, RepoUrl
from orca.sdk.archives import ArchiveLimits


@dataclass(frozen=True, slots=True)
class GitCheckout:
    """What to fetch, and the login for it."""

    url: RepoUrl
    ref: GitRef
    into: Path
    """Must not exist yet; its parent must."""
    username: str = "x-access-token"
    token: str | None = field(default=None, repr=False)
    """For https."""
    deploy_key: str | None = field(default=None, repr=False)
    """For ssh: a private key in OpenSSH format, without a passphrase."""
    known_hosts: str = ""
    """For ssh: the confirmed host keys."""
    certificate_authority: str | None = None
    """For https: the PEM certificate that signs the host's own, instead of this machine's trust store."""
    submodules: bool = True
    lfs: bool = True
    """Whether files in Git LFS are fetched, too."""
    branches: bool = False
    """Whether the names of the repository's branches are wanted, too."""
    private_networks: bool = False
    """Whether the repository may be on this machine or its private networks."""
    limits: ArchiveLimits = field(default_factory=ArchiveLimits)
    deadline: float = 600.0


@dataclass(frozen=True, slots=True)
class Checkout:
    """The checked-out commit. `author` is `Name <address>`; author and message are as the committer wrote them."""

    commit: str
    author: str
    message: str
    tree: Path
    branches: Sequence[str] = ()
    """When they were wanted: some of them at least."""
