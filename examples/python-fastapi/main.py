"""A small API without a Dockerfile: Orca finds FastAPI in it and writes one."""

import os

from fastapi import FastAPI

app = FastAPI(title="Hello from Orca")


@app.get("/")
def read_root() -> dict[str, str]:
    """Say hello; the word comes from a variable of the service."""
    return {"hello": os.environ.get("GREETING", "world")}


@app.get("/health")
def read_health() -> dict[str, str]:
    """For the health check."""
    return {"status": "ok"}
