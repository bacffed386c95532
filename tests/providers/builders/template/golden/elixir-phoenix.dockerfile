# Elixir 1.17 (Phoenix) · shop
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM elixir:1.17-slim AS build
WORKDIR /app
ENV MIX_ENV=prod MIX_HOME=/mix HEX_HOME=/hex LANG=C.UTF-8
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential git ca-certificates \
 && rm -rf /var/lib/apt/lists/*
RUN mix local.hex --force && mix local.rebar --force
COPY ["mix.exs", "mix.lock", "./"]
COPY ["config/", "./config/"]
RUN --mount=type=cache,target=/hex/packages \
    mix deps.get --only prod && mix deps.compile
COPY . .
RUN mix compile && mix assets.deploy && mix release

FROM elixir:1.17-slim
COPY --from=build /mix /mix
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV MIX_ENV=prod MIX_HOME=/mix HEX_HOME=/hex LANG=C.UTF-8 HOME=/tmp
ENV PORT=4000
EXPOSE 4000
CMD ["/bin/bash", "-c", "PHX_SERVER=true _build/prod/rel/shop/bin/shop start"]
# ---
# kind elixir, web, port 4000, because of mix.exs, mix.lock
