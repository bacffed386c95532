"""Why a build ended without an image, in codes that scripts and the troubleshooting page know."""

from orca.errors import StepFailed


class BuildFailed(StepFailed):
    """A step of the build failed. `details`: `step`, `exit_code` (None where there was no process), `last_lines`."""

    code = "build-failed"


class BuildOutOfMemory(BuildFailed):
    """The build needed more memory than it may use and was killed."""

    code = "build-out-of-memory"


class BuildDiskFull(BuildFailed):
    """The build was stopped before it filled the disk."""

    code = "build-disk-full"


class BuildCommandMissing(BuildFailed):
    """A step calls a program that is not in the image at that point."""

    code = "build-command-missing"


class BuildFileMissing(BuildFailed):
    """A step copies a file that is not in the source tree, or that .dockerignore leaves out."""

    code = "build-file-missing"


class BaseImageUnavailable(BuildFailed):
    """The image a stage begins with cannot be fetched."""

    code = "base-image-unavailable"


class BaseImageForbidden(StepFailed):
    """A stage begins with an image that Orca built for some service."""

    code = "base-image-forbidden"


class AddressForbidden(StepFailed):
    """A line fetches from an address that only the engine's machine reaches."""

    code = "build-address-forbidden"


class SecretInArgument(StepFailed):
    """A build argument looks like a secret; arguments stay readable in the image."""

    code = "secret-in-argument"


class LabelReserved(StepFailed):
    """The image carries a label that steers host software."""

    code = "label-reserved"
