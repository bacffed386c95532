"""Every door of the application, found in its route table. `python -m tests.attacks.inventory` renews the golden file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from orca.features.access.media_types import readable_types
from orca.web.guard import PUBLIC, UNCLAIMED, Guard, GuardedRoute
from orca.web.sockets import GuardedSocket

GOLDEN = Path(__file__).with_name("routes.txt")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


@dataclass(frozen=True)
class Door:
    """One method of one route."""

    method: str
    path: str
    guard: Guard
    route: GuardedRoute | GuardedSocket

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        return _PARAMETER.findall(self.path)

    @property
    def identifiers(self) -> list[str]:
        return [name for name in self.parameters if name.endswith("_id")]

    @property
    def is_open(self) -> bool:
        """Whether it needs no authentication."""
        return self.guard.permission in {PUBLIC, UNCLAIMED}

    @property
    def is_for_people(self) -> bool:
        """Whether it is a page that only a signed-in browser (or the private socket) opens."""
        return self.guard.page and not self.is_open and not self.path.startswith("/api/")

    @property
    def is_safe(self) -> bool:
        return self.method in SAFE

    @property
    def media_types(self) -> frozenset[str]:
        return readable_types(self.route, is_page=self.guard.page)

    def address(self, **values: str) -> str:
        """The path with its parameters filled in; what is not given is an unremarkable word."""
        return _PARAMETER.sub(lambda match: values.get(match[1], "1"), self.path)

    def line(self) -> str:
        """What the golden file says of it."""
        guard = self.guard
        said = [guard.permission, guard.tenant or "-", guard.rate, guard.audit or "-", "page" if guard.page else "api"]
        said += ["narrowed"] if guard.narrowed_by else []
        return f"{self.method:<6} {self.path:<62} " + " ".join(said)


def doors_of(app: FastAPI) -> list[Door]:
    """All of them; a route that is neither guarded nor the static files fails at start-up already."""
    return sorted(_doors(app), key=lambda door: (door.path, door.method))


def _doors(app: FastAPI) -> Iterator[Door]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, GuardedRoute):
            for method in route.methods:
                yield Door(method, route.path, route.guard, route)


def sockets_of(app: FastAPI) -> list[Door]:
    """All WebSockets."""
    sockets = [route for route in app.routes if isinstance(route, GuardedSocket)]
    return [Door("SOCKET", route.path, route.guard, route) for route in sockets]


def inventory(app: FastAPI) -> str:
    return "\n".join(door.line() for door in (*doors_of(app), *sockets_of(app))) + "\n"


if __name__ == "__main__":
    from orca.app import create_app
    from orca.settings import Settings

    with TemporaryDirectory() as folder:
        GOLDEN.write_text(inventory(create_app(Settings(data={"dir": folder}))))
