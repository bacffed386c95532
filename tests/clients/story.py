"""The story by the client that openapi-python-client generates; runs in that generator's environment."""

import json
import sys

sys.path.insert(0, sys.argv[3])

from orca_client import AuthenticatedClient
from orca_client.api.deployments import rollback
from orca_client.api.projects import create_project
from orca_client.api.running import list_all_services
from orca_client.api.services import create_service, delete_service, update_service
from orca_client.models import ImageSource, ProjectFields, RollbackIn, ServiceChanges, ServiceFields
from orca_client.models.problem import Problem

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
project = create_project.sync(client=client, body=ProjectFields(name="By Python"))
assert project is not None
assert not isinstance(project, Problem), project
fields = ServiceFields(name="worker", kind="worker", source=ImageSource(type_="image", image="busybox:1"))
service = create_service.sync(project.id, client=client, body=fields)
assert service is not None
assert not isinstance(service, Problem), service
changes = ServiceChanges(replicas=2, version=service.version)
changed = update_service.sync(service.id, client=client, body=changes)
assert not isinstance(changed, Problem), changed
assert changed is not None
assert changed.replicas == 2
listed = list_all_services.sync(client=client, project_id=project.id)
assert listed is not None
assert not isinstance(listed, Problem), listed
refused = rollback.sync(service.id, client=client, body=RollbackIn())
assert isinstance(refused, Problem), refused
removed = delete_service.sync_detailed(service.id, client=client, confirm="worker")
told = {
    "state": listed.items[0].status.state, "code": refused.code, "detail": refused.detail,
    "removed": removed.status_code,
}  # fmt: skip
sys.stdout.write(json.dumps(told))
