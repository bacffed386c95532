# Zola · static site in public/
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

# Orca puts its own Caddy here, so that no registry is needed.
ARG ORCA_CADDY_IMAGE=caddy:2
FROM ${ORCA_CADDY_IMAGE} AS caddy

FROM debian:stable-slim AS build
WORKDIR /app
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=ghcr.io/getzola/zola:v0.20.0 /bin/zola /usr/local/bin/zola
COPY . .
RUN zola build

FROM scratch
COPY --from=caddy /usr/bin/caddy /usr/bin/caddy
COPY orca.Caddyfile /etc/caddy/Caddyfile
COPY --from=build ["/app/public/", "/srv/"]
USER 10001:10001
WORKDIR /data
ENV PORT=8080 XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data
EXPOSE 8080
CMD ["/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
# ---
# kind static, static, port 8080, because of config.toml
