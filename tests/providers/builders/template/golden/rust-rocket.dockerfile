# Rust 1.80.1 (Rocket) · shop
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM rust:1.80.1-slim AS build
WORKDIR /src
RUN apt-get update && apt-get install --yes --no-install-recommends libssl-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked && mkdir /out && cp target/release/shop /out/

FROM debian:stable-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates libssl3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build --chown=10001:10001 ["/out/", "/app/bin/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/app/bin:$PATH HOME=/tmp
ENV PORT=8000
EXPOSE 8000
CMD ["/bin/bash", "-c", "ROCKET_ADDRESS=0.0.0.0 ROCKET_PORT=$PORT exec /app/bin/shop"]
# ---
# kind rust, web, port 8000, because of Cargo.toml, Cargo.lock
