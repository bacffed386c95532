"""What the hint of a failure tells people to do, as steps that pages make buttons of. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from orca.features.deployments.schemas import NextStep

FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "ports": ("ports", "Change the port"),
    "command": ("command", "Change the start command"),
    "release_command": ("release_command", "Change the release command"),
    "resources.memory_mb": ("memory_mb", "Raise the memory limit"),
    "health.type": ("health_type", "Choose another health check"),
    "health.path": ("health_path", "Change the path of the health check"),
    "health.host": ("health_host", "Change the host that it is asked for"),
    "health.start_period": ("health_start_period", "Give it longer to start"),
    "build.builder": ("builder", "Choose a builder"),
    "build.dockerfile": ("dockerfile", "Change the path of the Dockerfile"),
    "source.subdirectory": ("subdirectory", "Change the subdirectory"),
    "source.repository": ("repository", "Change the repository"),
    "source.branch": ("branch", "Change the branch"),
    "source.credential": ("git_credential_id", "Choose a credential"),
    "source.image": ("image", "Change the image"),
}
"""Setting -> its field on the settings page, and the label of the button that leads there."""


def change_settings(*settings: str) -> tuple[NextStep, ...]:
    """Return the steps that change settings."""
    return tuple(NextStep(action="change-setting", label=FIELDS[setting][1], setting=setting) for setting in settings)


def set_variable(name: str) -> NextStep:
    """Return the step that adds a variable."""
    return NextStep(action="set-variable", label=f"Add the variable {name}", variable=name)


AGAIN: Final = NextStep(action="deploy-again", label="Deploy again")
_SEND: Final = NextStep(action="send-source", label="Send a folder")
_CREDENTIALS: Final = NextStep(action="see-credentials", label="See the credentials")
_SPACE: Final = NextStep(action="free-disk", label="See what takes the space")
_BY_CODE: Final[Mapping[str, tuple[NextStep, ...]]] = {
    "out-of-memory": change_settings("resources.memory_mb"),
    "release-command-failed": change_settings("release_command"),
    "engine-interrupted": (AGAIN,),
    "no-builder": change_settings("build.builder", "source.subdirectory"),
    "nothing-recognised": change_settings("build.builder", "source.subdirectory"),
    "no-buildpack-fits": change_settings("build.builder", "source.subdirectory"),
    "dockerfile-missing": change_settings("build.dockerfile", "source.subdirectory"),
    "base-image-unavailable": (AGAIN, _CREDENTIALS),
    "disk-too-full": (_SPACE, AGAIN),
    "build-disk-full": (_SPACE, AGAIN),
    "disk-reserve-reached": (_SPACE, AGAIN),
    "source-missing": (_SEND,),
    "git-lfs-failed": (_SEND,),
    "git-host-unknown": change_settings("source.repository"),
    "git-host-unreachable": (AGAIN, *change_settings("source.repository")),
    "git-login-refused": (*change_settings("source.credential"), _CREDENTIALS),
    "git-repository-missing": (*change_settings("source.repository", "source.credential"),),
    "git-repository-moved": change_settings("source.repository"),
    "git-ref-missing": change_settings("source.branch"),
    "git-host-key-unknown": (_CREDENTIALS,),
    "git-host-key-changed": (_CREDENTIALS,),
    "credentials-rejected": (_CREDENTIALS, AGAIN),
    "nothing-to-deploy": (AGAIN,),
    "provider-unavailable": (AGAIN,),
}
"""For errors of lower features and of providers, which do not know a service's settings page."""
_ONLY_OF: Final = {"send-source": "directory", "source.image": "image"}
_GIT: Final = frozenset({"source.repository", "source.branch", "source.credential"})


def choose_steps(
    code: str, given: Sequence[NextStep], *, source: str, in_file: Collection[str]
) -> tuple[tuple[NextStep, ...], str]:
    """Return the steps after a failure, and a sentence about settings that only the source's own file can change.

    `given` are those that the error itself names; `in_file` are the top-level keys of the source's `orca.yaml`, which
    overrides the stored settings.
    """
    fitting = [step for step in given or _BY_CODE.get(code, ()) if _fits(step, source)]
    fixed = sorted({key for step in fitting if (key := step.setting.partition(".")[0]) in in_file})
    steps = tuple(step for step in fitting if step.setting.partition(".")[0] not in fixed)
    names = " and ".join(f"`{key}`" for key in fixed)
    return steps, f"orca.yaml names {names}: change it there." if fixed else ""


def _fits(step: NextStep, source: str) -> bool:
    if step.setting in _GIT:
        return source == "git"
    if step.setting == "source.subdirectory" or step.setting.startswith("build."):
        return source != "image"
    return _ONLY_OF.get(step.setting or step.action, source) == source


def address_of(step: NextStep, service_id: str) -> str:
    """Return the page where a step is done; empty for one that deploys again."""
    service = f"/services/{service_id}"
    match step.action:
        case "change-setting" if step.setting in FIELDS:
            return f"{service}/settings#{FIELDS[step.setting][0]}"
        case "set-variable":
            return f"{service}/variables?add={step.variable}#value"
        case "send-source":
            return f"{service}#send"
        case "see-credentials":
            return "/credentials"
        case "free-disk":
            return "/disk"
        case _:
            return ""
