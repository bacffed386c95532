"""Small sites to deploy through the API, and what to wait for."""

import io
import tarfile
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
from tests.conftest import Panel, until

FINISHED = {"succeeded", "failed", "cancelled", "superseded"}


def make_tar(files: dict[str, str | bytes]) -> bytes:
    """A tar of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), int(time.time())
            info.mode = 0o755 if data.startswith(b"\x7fELF") else 0o644
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def page(text: str) -> dict[str, str | bytes]:
    return {"index.html": f"<!doctype html><title>{text}</title><p>{text}</p>"}


@dataclass
class Site:
    """A service of a panel, made and driven through the API."""

    panel: Panel
    name: str = "site"
    fields: dict[str, Any] = field(default_factory=dict)
    id: str = ""

    @cached_property
    def hostname(self) -> str:
        """Kept, because a dead panel cannot be asked."""
        routes = self.get(f"/api/v1/services/{self.id}/routes")
        items = routes["items"] if isinstance(routes, dict) else routes
        return str(items[0]["hostname"])

    def create(self) -> "Site":
        with self.panel.client() as http:
            project = http.post("/api/v1/projects", json={"name": f"Project {self.name}"})
            assert project.status_code == 201, project.text
            body = {"name": self.name, "type": "static", "build_source": {"type": "directory"}, **self.fields}
            service = http.post(f"/api/v1/projects/{project.json()['id']}/services", json=body)
            assert service.status_code == 201, service.text
            self.id = service.json()["id"]
        return self

    def get(self, path: str) -> Any:
        with self.panel.client() as http:
            answer = http.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        with self.panel.client() as http:
            answer = http.post(path, json=body)
            assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text}"
            return answer.json()

    def edit(self, fields: dict[str, Any]) -> None:
        with self.panel.client() as http:
            version = http.get(f"/api/v1/services/{self.id}").json()["version"]
            answer = http.patch(f"/api/v1/services/{self.id}", json={**fields, "version": version})
            assert answer.status_code == 200, answer.text

    def upload(self, files: dict[str, str | bytes]) -> str:
        with self.panel.client() as http:
            answer = http.post(
                f"/api/v1/services/{self.id}/uploads", content=make_tar(files),
                headers={"Content-Type": "application/x-tar"},
            )  # fmt: skip
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

    def deploy(self, files: dict[str, str | bytes]) -> str:
        upload_id = self.upload(files)
        return str(self.post(f"/api/v1/services/{self.id}/deployments", {"upload_id": upload_id})["id"])

    def deployment(self, deployment_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/api/v1/deployments/{deployment_id}")
        return found

    def log_of(self, deployment_id: str) -> str:
        with self.panel.client() as http:
            return http.get(f"/api/v1/deployments/{deployment_id}/log").text

    def wait(self, deployment_id: str, seconds: float = 60) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            try:
                found = self.deployment(deployment_id)
            except httpx.HTTPError:
                return None
            return found if found["state"] in FINISHED else None

        ended_as: dict[str, Any] = until(ended, seconds=seconds, every=0.2, what=f"deployment {deployment_id} ends")
        return ended_as

    def go_live(self, files: dict[str, str | bytes], seconds: float = 90) -> dict[str, Any]:
        deployment_id = self.deploy(files)
        ended = self.wait(deployment_id, seconds)
        assert ended["state"] == "succeeded", f"{ended['reason']} {ended['hint']}\n{self.log_of(deployment_id)}"
        return ended

    def answers(self, path: str = "/") -> str:
        return self.panel.site(self.hostname, path).text

    def containers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/v1/services/{self.id}/containers")
        return found
