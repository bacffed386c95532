// The story by openapi-fetch, whose types openapi-typescript generates.
import createClient from "openapi-fetch";
import type { paths } from "./generated/types.ts";

const [url, token] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

const project = await client.POST("/api/v1/projects", { body: { name: "By fetch" } });
if (!project.data) throw new Error(project.error.detail);
const service = await client.POST("/api/v1/projects/{project_id}/services", {
  params: { path: { project_id: project.data.id } },
  body: { name: "worker", kind: "worker", source: { type: "image", image: "busybox:1" } },
});
if (!service.data) throw new Error(service.error.detail);
const path = { service_id: service.data.id };
const changed = await client.PATCH("/api/v1/services/{service_id}", {
  params: { path }, body: { replicas: 2, version: service.data.version },
});
if (changed.data?.replicas !== 2) throw new Error(changed.error?.detail);
const listed = await client.GET("/api/v1/services", { params: { query: { project_id: project.data.id } } });
const state: "empty" | string | undefined = listed.data?.items[0]?.status.state;
const refused = await client.POST("/api/v1/services/{service_id}/rollback", { params: { path }, body: {} });
const removed = await client.DELETE("/api/v1/services/{service_id}", { params: { path, query: { confirm: "worker" } } });
console.log(JSON.stringify({ state, code: refused.error?.code, detail: refused.error?.detail, removed: removed.response.status }));
