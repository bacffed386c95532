"""The API's models of privileges."""

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from orca.features.services.privileges import parse_privilege
from orca.kit.fields import Output, Strict

PrivilegeText = Annotated[
    str,
    Field(max_length=300),
    AfterValidator(parse_privilege),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 300,
            "pattern": "^(?:(?:capability|device|sysctl|network|host\\.port|host\\.path):.+|host\\.network)$",
        }
    ),
]


class Privileges(Strict):
    """All privileges of a service: those not listed are taken back."""

    privileges: list[PrivilegeText] = Field(
        max_length=50,
        description="Such as `capability:NET_ADMIN`, `device:/dev/dri`, `sysctl:net.core.somaxconn`, `host.network`, "
        "`host.port:udp/53`, `host.path:/srv/media`, `network:orca-` with the id of another environment.",
    )


class PrivilegeOut(Output):
    """A privilege of a service."""

    privilege: str
    meaning: str = Field(description="What the service may do with it, to follow its name.")
