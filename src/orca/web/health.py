"""Health and numbers: for probes, for Prometheus, for people in a hurry."""

import asyncio
import time

import structlog
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from orca import __version__
from orca.db import DATABASE_AWAY, Database
from orca.tasks.workers import prove_writable
from orca.web.guard import RETRY_AFTER_SECONDS, UNCLAIMED, Router, guard
from orca.web.metrics import Measurements

log = structlog.get_logger("orca.web")
_PROBE_SECONDS = 2.5
_FRESH_SECONDS = 1.0
"""How long a result is shared between requests: the route is public, and each probe is a write."""

router = Router(tags=["health"])


@router.get("/api/health", summary="Is the process alive")
@router.get("/health/live", include_in_schema=False)
@guard(UNCLAIMED, rate="none")
async def live() -> dict[str, str]:
    """Answers as long as the event loop turns."""
    return {"status": "ok", "version": __version__}


@router.get("/api/health/ready", summary="Can the process do its work")
@router.get("/health/ready", include_in_schema=False)
@guard(UNCLAIMED, rate="none")
async def ready(request: Request) -> JSONResponse:
    """503 when the database takes no writes, or this process is about to end; says so within three seconds."""
    checks = {
        "database": await request.app.state.write_probe.check(request.app.state.resources.db),
        "tasks": request.app.state.task_engine.draining or "ok",
    }
    is_ok = all(value == "ok" for value in checks.values())
    body = {"status": "ok" if is_ok else "degraded", "checks": checks, "version": __version__}
    return JSONResponse(body, 200 if is_ok else 503, None if is_ok else {"Retry-After": str(RETRY_AFTER_SECONDS)})


@router.get("/api/metrics", summary="Numbers for Prometheus", response_class=Response)
@guard("metrics.read", rate="read")
async def metrics(request: Request) -> Response:
    """Text exposition format, for instance admins and their tokens: the numbers tell of all teams.

    What cannot be measured within seconds is left out; `orc_measure_success` says what.
    """
    measurements: Measurements = request.app.state.measurements
    text = await measurements.render(request.app.state.resources, request.app.state.metrics)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


class WriteProbe:
    """Probes the database by a write; concurrent requests share one result."""

    def __init__(self) -> None:
        self._probe: asyncio.Task[str] | None = None
        self._answered = 0.0

    async def check(self, db: Database) -> str:
        """Return `ok`, or why nothing can be written."""
        if self._probe is None or (self._probe.done() and time.monotonic() - self._answered > _FRESH_SECONDS):
            self._probe = asyncio.create_task(self._write(db))
        done, _ = await asyncio.wait({self._probe}, timeout=_PROBE_SECONDS)  # a hanging probe has its own deadline
        return self._probe.result() if done else f"The database did not answer within {_PROBE_SECONDS:g} seconds."

    async def _write(self, db: Database) -> str:
        try:
            async with db.write() as session:
                await prove_writable(session)
        except DATABASE_AWAY as error:
            return db.explain(error).message
        except Exception as error:
            log.exception("probe_failed")
            return f"error: {type(error).__name__}"
        finally:
            self._answered = time.monotonic()
        return "ok"
