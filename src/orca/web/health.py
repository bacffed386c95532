"""Health and numbers: for probes, for Prometheus, for people in a hurry."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import text

from orca import __version__
from orca.resources import Resources
from orca.tasks import count_active
from orca.web.guard import UNCLAIMED, Router, guard

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
    """503 when the database does not answer."""
    checks = {"database": await _check_database(request.app.state.resources)}
    is_ok = all(value == "ok" for value in checks.values())
    body = {"status": "ok" if is_ok else "degraded", "checks": checks, "version": __version__}
    return JSONResponse(body, 200 if is_ok else 503)


@router.get("/api/metrics", summary="Numbers for Prometheus", response_class=Response)
@guard("metrics.read", rate="read")
async def metrics(request: Request) -> Response:
    """Text exposition format."""
    registry: CollectorRegistry = request.app.state.metrics
    gauge: Gauge = request.app.state.tasks_active
    async with request.app.state.resources.db.read() as session:
        gauge.set(await count_active(session))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _check_database(resources: Resources) -> str:
    try:
        async with resources.db.read() as session:
            await session.execute(text("SELECT 1"))
    except Exception as error:  # noqa: BLE001 - any failure means the same here
        return f"error: {type(error).__name__}"
    return "ok"
