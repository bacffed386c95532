# Gleam 1.13.0 (Wisp)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM ghcr.io/gleam-lang/gleam:v1.13.0-erlang-slim AS build
WORKDIR /app
COPY . .
RUN gleam export erlang-shipment

FROM ghcr.io/gleam-lang/gleam:v1.13.0-erlang-slim
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV HOME=/tmp
ENV PORT=8600
EXPOSE 8600
CMD ["/bin/bash", "-c", "exec ./build/erlang-shipment/entrypoint.sh run"]
# ---
# kind gleam, web, port 8600, because of gleam.toml
