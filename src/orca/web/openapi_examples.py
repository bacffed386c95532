"""Examples of request bodies by the name of their schema, and the events of streams by operation."""

from collections.abc import Mapping
from typing import Any, Final

_ID: Final = "019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f"
_PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - an example
_VARIABLE: Final = {"key": "LOG_LEVEL", "value": "info"}
_PEM: Final = {"certificate": "-----BEGIN CERTIFICATE-----\n…", "private_key": "-----BEGIN PRIVATE KEY-----\n…"}
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "AccountChanges": {"name": "Ada"},
    "BuildIn": {"commit": "4f3c2b1a"},
    "CertificateIn": {"name": "shop", **_PEM},
    "CertificateReplacement": _PEM,
    "ClaimIn": {"token": "…", "email": "ada@example.org", "name": "Ada", "password": _PASSWORD},
    "Confirmation": {"confirm": "data"},
    "Decision": {"kind": "deployment", "id": _ID},
    "DeletionIn": {"confirm": "shop", "volumes": "keep"},
    "DeployIn": {"commit": "4f3c2b1a"},
    "DiscardIn": {"revision": "5f2b8c0d9e1a7764"},
    "DnsCredentialChanges": {"zones": ["example.org"]},
    "DnsCredentialIn": {"name": "Zone", "provider": "hetzner", "zones": ["example.org"], "fields": {"token": "…"}},
    "EnvironmentChanges": {"name": "Staging of the shop"},
    "EnvironmentFields": {"name": "Staging"},
    "GitCredentialChanges": {"name": "Deploy key of the shop"},
    "GitCredentialFields": {"name": "Deploy key", "kind": "ssh", "host": "git.example.org"},
    "GrantIn": {"email": "ada@example.org", "role": "member", "project_id": _ID},
    "HookChanges": {"branch": "release/*"},
    "HookFields": {"provider": "github", "branch": "main"},
    "PasswordChange": {"current_password": _PASSWORD, "new_password": "another long passphrase"},
    "PasswordReset": {"email": "ada@example.org", "password": _PASSWORD},
    "Privileges": {"privileges": ["capability:NET_ADMIN", "device:/dev/net/tun"]},
    "ProjectChanges": {"description": "What customers see"},
    "ProjectFields": {"name": "Shop"},
    "RegistryCredentialChanges": {"username": "ci", "password": "…"},
    "RegistryCredentialFields": {"name": "Images", "host": "registry.example.org", "username": "ci", "password": "…"},
    "Replay": {"push_id": _ID},
    "RollbackIn": {"release": 7},
    "RouteIn": {"hostname": "www.example.org"},
    "RoutePatch": {"port": 8080},
    "RunIn": {"command": ["python", "manage.py", "migrate"]},
    "ScaleIn": {"replicas": 3},
    "ServiceChanges": {"replicas": 2, "version": 4},
    "ServiceFields": {
        "name": "web", "kind": "web", "source": {"type": "git", "repository": "https://git.example.org/shop/web"},
        "ports": [{"port": 8000, "public": True}],
    },
    "SignIn": {"email": "ada@example.org", "password": _PASSWORD},
    "SourceToDetect": {"source": {"type": "git", "repository": "https://git.example.org/shop/web"}},
    "StepUp": {"password": _PASSWORD},
    "TokenIn": {"name": "ci", "scopes": ["service.read", "service.deploy"], "expires_in_days": 90},
    "VariableChanges": {"variables": [_VARIABLE], "removed": ["OLD"]},
    "VariableFields": {"value": "s3cr3t", "is_secret": True},
    "Variables": {"variables": [_VARIABLE]},
    "VolumeChanges": {"owner": "10001:10001"},
    "VolumeFields": {"name": "data", "path": "/data"},
    "WebhookChanges": {"is_enabled": True},
    "WebhookFields": {"name": "chat", "url": "https://hooks.example.org/orca", "types": ["deployment.finished"]},
}  # fmt: skip

STREAMS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "read_log": {
        "log": {"offset": _NUMBER, "step": _TEXT, "text": _TEXT, "at": _TEXT},
        "reset": {"offset": _NUMBER}, "end": {"state": _TEXT},
    },
    "read_logs": {
        "start": {"replicas": _NUMBER},
        "log": {"replica": _NUMBER, "stream": _TEXT, "text": _TEXT, "at": {"type": ["string", "null"]}},
        "end": {"state": _TEXT},
    },
    "stream_lines": {
        "lines": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/LineOut"}}},
        "end": {"state": _TEXT},
    },
    "run_command": {
        "log": {"text": _TEXT}, "end": {"exit_code": _NUMBER, "error": _TEXT, "hint": _TEXT},
    },
    "stream_events": {"reset": {"last_seq": _NUMBER}},
}  # fmt: skip
"""Event -> properties of its data. The trail's own events are named after their type and hold an `EventOut`."""
