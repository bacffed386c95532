"""What people type about a service, as the API writes it, and back. Pure."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from orca.features.services.models import Service


def source_data(form: Mapping[str, str]) -> dict[str, Any]:
    """Where a service comes from."""
    kind = form.get("source_type", "git")
    source: dict[str, Any] = {"type": kind}
    if kind == "git":
        source |= given(form, "repository", "branch", "subdirectory")
        source |= {"credential_id": form["git_credential_id"]} if form.get("git_credential_id") else {}
    elif kind == "image":
        source |= given(form, "image")
        source |= {"credential_id": form["registry_credential_id"]} if form.get("registry_credential_id") else {}
    return source


def new_service_data(form: Mapping[str, str]) -> dict[str, Any]:
    """A service that is to be made."""
    data: dict[str, Any] = {"name": form.get("name", ""), "kind": form.get("kind", "web"), "source": source_data(form)}
    if form.get("port"):
        data["ports"] = [{"name": "http", "port": form["port"], "public": True}]
    return data


def given(form: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those of these fields that are not empty."""
    return {name: form[name] for name in names if form.get(name)}


def settings_values(service: Service) -> dict[str, str]:
    """The stored settings as the form shows them."""
    ports = ", ".join(f"{port['name']}:{port['port']}{'' if port['public'] else ' private'}" for port in service.ports)
    resources, health, source = service.resources, service.health, service.source
    return {
        "name": service.name, "kind": service.kind, "ports": ports, "replicas": str(service.replicas),
        "cpus": str(resources.get("cpus") or ""), "memory_mb": str(resources.get("memory_mb") or ""),
        "command": shlex.join(service.command), "release_command": shlex.join(service.release_command),
        "restart": service.restart, "stop_grace": f"{service.stop_grace:g}",
        "health_type": str(health["type"]), "health_path": str(health["path"]),
        "health_command": shlex.join(health.get("command", [])), "health_start_period": f"{health['start_period']:g}",
        "builder": str(service.build.get("builder", "auto")), "dockerfile": str(service.build.get("dockerfile", "")),
        "arguments": json.dumps(service.build.get("arguments", {})) if service.build.get("arguments") else "",
        "repository": str(source.get("repository", "")), "branch": str(source.get("branch") or ""),
        "subdirectory": str(source.get("subdirectory") or ""),
        "git_credential_id": str(source.get("credential_id") or ""), "image": str(source.get("image", "")),
        "version": str(service.version),
    }  # fmt: skip


def settings_data(service: Service, form: Mapping[str, str]) -> dict[str, Any]:
    """The typed form as the API's JSON. Raises ValueError where a text cannot be read."""
    health = {**service.health, "type": form.get("health_type", "auto"), "path": form.get("health_path") or "/"}
    health["command"] = shlex.split(form.get("health_command", "")) if health["type"] == "command" else []
    health["start_period"] = form.get("health_start_period") or health["start_period"]
    build = {
        **service.build,
        "builder": form.get("builder", "auto"),
        "dockerfile": form.get("dockerfile") or "Dockerfile",
    }
    source = {**service.source, **given(form, "repository", "image")}
    if source["type"] == "git":
        source |= {"branch": form.get("branch") or None, "subdirectory": form.get("subdirectory", "")}
        source |= {"tag": None, "commit": None} if form.get("branch") else {}
        source |= {"credential_id": form["git_credential_id"] or None} if "git_credential_id" in form else {}
    return {
        **given(form, "name", "kind", "replicas", "restart", "stop_grace", "version"),
        "ports": parse_ports(form.get("ports", "")),
        "resources": {"cpus": form.get("cpus") or None, "memory_mb": form.get("memory_mb") or None},
        "command": shlex.split(form.get("command", "")),
        "release_command": shlex.split(form.get("release_command", "")),
        "health": health, "build": build, "source": source,
    }  # fmt: skip


def parse_ports(text: str) -> list[dict[str, Any]]:
    """`http:8080, metrics:9090 private` as the API's JSON. Raises ValueError."""
    ports = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        words = part.split()
        name, _, number = words[0].rpartition(":")
        if not number.isdecimal() or words[1:] not in ([], ["private"]):
            raise ValueError(f"“{part}” is not a port: write http:8080, or metrics:9090 private")
        ports.append({"name": name or "http", "port": int(number), "public": not words[1:]})
    return ports
