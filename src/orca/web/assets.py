"""The files of the front end."""

import os
from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
_KEPT = "public, max-age=31536000, immutable"


class Assets(StaticFiles):
    """Serves them; browsers keep those of the bundle, whose names change with their content."""

    def file_response(
        self, full_path: os.PathLike[str] | str, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return a file, or that it has not changed."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        path = Path(full_path)
        if path.parent.name == "dist" and path.suffix != ".json":
            response.headers["Cache-Control"] = _KEPT
        return response
