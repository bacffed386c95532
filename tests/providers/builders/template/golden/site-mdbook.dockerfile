# mdBook · static site in book/
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

# Orca puts its own Caddy here, so that no registry is needed.
ARG ORCA_CADDY_IMAGE=caddy:2
FROM ${ORCA_CADDY_IMAGE} AS caddy

FROM rust:1-slim AS build
WORKDIR /app
RUN cargo install --locked mdbook mdbook-toc
COPY . .
RUN mdbook build

FROM scratch
COPY --from=caddy /usr/bin/caddy /usr/bin/caddy
COPY orca.Caddyfile /etc/caddy/Caddyfile
COPY --from=build ["/app/book/", "/srv/"]
USER 10001:10001
WORKDIR /data
ENV PORT=8080 XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data
EXPOSE 8080
CMD ["/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
# ---
# kind static, static, port 8080, because of book.toml
