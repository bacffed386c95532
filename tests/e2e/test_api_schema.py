"""The OpenAPI document says what the API does: schemathesis asks it everything it can think of."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import API_TOKEN, OWNER, Panel

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
STREAMS = r"/(log|logs|stream|run|uploads|archive)$"


def test_schemathesis_finds_nothing(panel: Panel, tmp_path: Path) -> None:
    token = (panel.data_dir / "claim-token").read_text().strip()
    with panel.client() as http:
        assert http.post("/api/v1/claim", json={**OWNER, "token": token}).status_code == 201
        document = http.get("/api/openapi.json").json()
    schema = tmp_path / "openapi.json"
    schema.write_text(json.dumps(document))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", schema, "--url", panel.url,
            "--header", f"Authorization: Bearer {API_TOKEN}", "--checks", CHECKS, "--phases", "examples,fuzzing",
            "--max-examples", "8", "--exclude-path-regex", STREAMS, "--request-timeout", "20", "--no-color",
            "--generation-deterministic", "--workers", "1", "--rate-limit", "400/m",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=840,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_metrics_are_clean(panel: Panel) -> None:
    with panel.client() as http:
        http.get("/api/v1/projects")
        text = http.get("/api/metrics").text
    for name in ("orc_http_requests_total", "orc_http_request_duration_seconds", "orc_tasks_active"):
        assert name in text
    promtool = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert promtool.returncode == 0, promtool.stdout + promtool.stderr
