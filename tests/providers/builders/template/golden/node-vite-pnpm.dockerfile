# Node.js 24 (Vite, static site, pnpm) · dist/
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

# Orca puts its own Caddy here, so that no registry is needed.
ARG ORCA_CADDY_IMAGE=caddy:2
FROM ${ORCA_CADDY_IMAGE} AS caddy

FROM node:24-slim AS build
WORKDIR /app
RUN npm install --global pnpm@9.1.0
COPY ["package.json", "pnpm-lock.yaml", "./"]
RUN --mount=type=cache,target=/root/.local/share/pnpm/store \
    pnpm install --frozen-lockfile
COPY . .
RUN pnpm run build

FROM scratch
COPY --from=caddy /usr/bin/caddy /usr/bin/caddy
COPY orca.Caddyfile /etc/caddy/Caddyfile
COPY --from=build ["/app/dist/", "/srv/"]
USER 10001:10001
WORKDIR /data
ENV PORT=8080 XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data
EXPOSE 8080
CMD ["/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
# ---
# kind node, static, port 8080, because of package.json, pnpm-lock.yaml
