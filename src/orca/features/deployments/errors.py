"""Why a deployment ended, in codes that scripts and the troubleshooting page know."""

from orca.errors import StepFailed


class NeverHealthy(StepFailed):
    """The release did not pass its health check within the start period."""

    code = "never-healthy"


class KeepsCrashing(StepFailed):
    """The process of the release ends again and again."""

    code = "keeps-crashing"


class CannotStart(StepFailed):
    """The program of the release cannot be executed."""

    code = "cannot-start"


class OutOfMemory(StepFailed):
    """The process was killed because it used more memory than it may."""

    code = "out-of-memory"


class ReleaseCommandFailed(StepFailed):
    """The release command ended with an error, so no traffic was moved."""

    code = "release-command-failed"


class EngineInterrupted(StepFailed):
    """The engine stopped while something ran once, and took it down with it."""

    code = "engine-interrupted"


class NoBuilder(StepFailed):
    """No builder knows what to do with the source."""

    code = "no-builder"


class SeveralPorts(StepFailed):
    """The source or the image names several ports, and only a person knows which one visitors are for."""

    code = "several-ports"


class DiskTooFull(StepFailed):
    """The build would not fit on the disk and was not begun, or the disk stayed full while it worked."""

    code = "disk-too-full"


class SourceMissing(StepFailed):
    """There is nothing to deploy: no tree was sent, or it is gone."""

    code = "source-missing"


class NothingToDeploy(StepFailed):
    """The service has no release yet."""

    code = "nothing-to-deploy"
