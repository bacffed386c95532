"""The REST door that serves the JSON Schema of `orca.yaml` to editors."""

from typing import Any

from fastapi.responses import JSONResponse

from orca.features.services.orca_file import orca_file_schema
from orca.web.guard import PUBLIC, Router, guard

router = Router(prefix="/api/v1", tags=["schemas"])
_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {"application/schema+json": {}}}}


@router.get("/schemas/orca.yaml.json", summary="JSON Schema of orca.yaml", responses=_ANSWER)
@guard(PUBLIC)
async def get_orca_file_schema() -> JSONResponse:
    """Return the JSON Schema of `orca.yaml`. For editors: name this address in a `yaml-language-server` comment."""
    return JSONResponse(
        orca_file_schema(), media_type="application/schema+json", headers={"Cache-Control": "public, max-age=3600"}
    )
