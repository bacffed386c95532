"""Why a credential is not used, in codes that scripts and the troubleshooting page know."""

from typing import ClassVar

from orca.errors import StepFailed


class CredentialElsewhere(StepFailed):
    """The credential is for another place. A request that names it is answered with 422, since another may fit."""

    status: ClassVar[int] = 422


class GitCredentialElsewhere(CredentialElsewhere):
    """The credential is made for another host than the repository's, or it has no host yet."""

    code = "git-credential-elsewhere"


class RegistryCredentialElsewhere(CredentialElsewhere):
    """The login is for another registry than the image's."""

    code = "registry-credential-elsewhere"
