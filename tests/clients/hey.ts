// The story by the client that @hey-api/openapi-ts generates.
import { client } from "./generated/hey/client.gen.ts";
import { createProject, createService, deleteService, listAllServices, rollback, updateService } from "./generated/hey/sdk.gen.ts";

const [url, token] = process.argv.slice(2) as [string, string];
client.setConfig({ baseUrl: url, auth: () => token });

const project = await createProject({ body: { name: "By hey" }, throwOnError: true });
const service = await createService({
  path: { project_id: project.data.id },
  body: { name: "worker", kind: "worker", source: { type: "image", image: "busybox:1" } },
  throwOnError: true,
});
const path = { service_id: service.data.id };
const changed = await updateService({ path, body: { replicas: 2, version: service.data.version }, throwOnError: true });
if (changed.data.replicas !== 2) throw new Error("the change was not kept");
const listed = await listAllServices({ query: { project_id: project.data.id }, throwOnError: true });
const refused = await rollback({ path, body: {} });
const removed = await deleteService({ path, query: { confirm: "worker" } });
console.log(JSON.stringify({
  state: listed.data.items[0]?.status.state, code: refused.error?.code, detail: refused.error?.detail,
  removed: removed.response?.status,
}));
