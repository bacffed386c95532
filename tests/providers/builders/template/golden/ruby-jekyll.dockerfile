# Ruby 3.4 (Jekyll) · static site in _site/
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

# Orca puts its own Caddy here, so that no registry is needed.
ARG ORCA_CADDY_IMAGE=caddy:2
FROM ${ORCA_CADDY_IMAGE} AS caddy

FROM ruby:3.4-slim AS build
WORKDIR /app
ENV BUNDLE_PATH=/gems LANG=C.UTF-8 JEKYLL_ENV=production
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential git libpq-dev libyaml-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
COPY ["Gemfile", "./"]
RUN --mount=type=cache,target=/root/.bundle/cache \
    BUNDLE_GLOBAL_GEM_CACHE=1 bundle install
COPY . .
RUN bundle exec jekyll build

FROM scratch
COPY --from=caddy /usr/bin/caddy /usr/bin/caddy
COPY orca.Caddyfile /etc/caddy/Caddyfile
COPY --from=build ["/app/_site/", "/srv/"]
USER 10001:10001
WORKDIR /data
ENV PORT=8080 XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data
EXPOSE 8080
CMD ["/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
# ---
# kind ruby, static, port 8080, because of Gemfile
