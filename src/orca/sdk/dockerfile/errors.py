"""Why a Dockerfile cannot be read."""

from orca.errors import StepFailed


class BadDockerfile(StepFailed):
    """The Dockerfile cannot be understood, or asks for what no build may have."""

    code = "bad-dockerfile"
