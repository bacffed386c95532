"""Why a source could not be fetched or sent, in codes that scripts and the troubleshooting page know."""

from typing import ClassVar

from orca.errors import OrcaError, SourceFailed


class GitHostUnknown(SourceFailed):
    """The host name of the repository has no address."""

    code = "git-host-unknown"


class GitHostUnreachable(SourceFailed):
    """The repository's host does not accept connections, or stopped answering."""

    code = "git-host-unreachable"


class GitHostForbidden(SourceFailed):
    """The repository's host has an address that this instance must not fetch from."""

    code = "git-host-forbidden"


class GitCertificateRejected(SourceFailed):
    """The host's TLS certificate is not valid."""

    code = "git-certificate-rejected"


class GitHostKeyUnknown(SourceFailed):
    """The SSH host key has not been confirmed yet. `details["host_keys"]`: known_hosts lines."""

    code = "git-host-key-unknown"


class GitHostKeyChanged(SourceFailed):
    """The SSH host shows another key than the one that was trusted."""

    code = "git-host-key-changed"


class GitLoginRefused(SourceFailed):
    """The repository needs credentials, or does not accept those it was given."""

    code = "git-login-refused"


class GitRepositoryMissing(SourceFailed):
    """The host knows no such repository, or does not show it to these credentials."""

    code = "git-repository-missing"


class GitRepositoryMoved(SourceFailed):
    """The host answers with a redirect, which is never followed."""

    code = "git-repository-moved"


class GitRefMissing(SourceFailed):
    """The repository has no such branch, tag or commit."""

    code = "git-ref-missing"


class GitFailed(SourceFailed):
    """Git failed for another reason. Its last lines are only in Orca's log, since they may come from the server."""

    code = "git-failed"


class GitLfsFailed(SourceFailed):
    """Files that are kept in Git LFS cannot be fetched; without them the site would be incomplete."""

    code = "git-lfs-failed"


class SourceTooLarge(SourceFailed):
    """The repository is larger than this instance allows."""

    code = "source-too-large"


class DiskReserveReached(OrcaError):
    """Storing the upload would leave less free space than the instance reserves for itself."""

    status: ClassVar[int] = 507
    code = "disk-reserve-reached"


class UploadTooSlow(OrcaError):
    """The sender stopped sending, or needed far too long."""

    status: ClassVar[int] = 408
    code = "upload-too-slow"


class BodyCutOff(OrcaError):
    """The sender closed the connection before the end of the body."""

    status: ClassVar[int] = 400
    code = "body-cut-off"
