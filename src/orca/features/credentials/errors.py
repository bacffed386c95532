"""Why a credential is not used, in codes that scripts and the troubleshooting page know."""

from orca.errors import SourceFailed


class GitCredentialElsewhere(SourceFailed):
    """The credential is made for another host than the repository's, or it has no host yet."""

    code = "git-credential-elsewhere"


class RegistryCredentialElsewhere(SourceFailed):
    """The login is for another registry than the image's."""

    code = "registry-credential-elsewhere"
