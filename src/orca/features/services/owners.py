"""Registers endpoints twice, for projects and for services, for objects that both can own."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, get_args

from orca.features.services.rules import OwnerType
from orca.web.guard import Router, guard

Door = Callable[..., Coroutine[Any, Any, Any]]


def put_door(router: Router, method: str, path: str, **declared: Any) -> Callable[[Door], Door]:
    """Register an endpoint whose first parameter is `owner` below both `/projects/{...}` and `/services/{...}`.

    `path` follows `/services/{service_id}`; `declared` has the guard's arguments, besides `status_code`,
    `response_model` and `summary`, in which `{}` is replaced by the owner's kind.
    """
    options = {name: declared.pop(name) for name in ("status_code", "response_model") if name in declared}
    summary = declared.pop("summary", "")

    def put(endpoint: Door) -> Door:
        for kind in get_args(OwnerType):
            place = _at(kind, endpoint)
            guard(tenant=f"{kind}_id", **declared)(place)
            router.add_api_route(
                f"/{kind}s/{{{kind}_id}}{path}",
                place,
                methods=[method],
                summary=summary.format(kind) or None,
                **options,
            )
        return endpoint

    return put


def _at(kind: OwnerType, endpoint: Door) -> Door:
    """Return the endpoint with the parameter `project_id` or `service_id`, from which it builds `owner`."""

    async def place(**given: Any) -> Any:
        owner_id = given.pop(f"{kind}_id")
        return await endpoint((kind, owner_id), **given)

    _, *others = inspect.signature(endpoint).parameters.values()
    owner_id = inspect.Parameter(f"{kind}_id", inspect.Parameter.KEYWORD_ONLY, annotation=str)
    place.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what FastAPI reads
        [owner_id, *(other.replace(kind=inspect.Parameter.KEYWORD_ONLY) for other in others)],
        return_annotation=inspect.signature(endpoint).return_annotation,
    )
    place.__name__, place.__doc__ = endpoint.__name__.replace("variable", f"{kind}_variable"), endpoint.__doc__
    return place
