# Ruby 3.4 (Rack)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM ruby:3.4-slim AS build
WORKDIR /app
ENV BUNDLE_PATH=/gems BUNDLE_WITHOUT=development:test RAILS_ENV=production RACK_ENV=production
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential git libpq-dev libyaml-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
COPY . .
RUN --mount=type=cache,target=/root/.bundle/cache \
    BUNDLE_GLOBAL_GEM_CACHE=1 bundle install

FROM ruby:3.4-slim
RUN apt-get update && apt-get install --yes --no-install-recommends libpq5 libyaml-0-2 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /gems /gems
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV BUNDLE_PATH=/gems BUNDLE_WITHOUT=development:test RAILS_ENV=production RACK_ENV=production RAILS_LOG_TO_STDOUT=1 RAILS_SERVE_STATIC_FILES=1 PORT=3000 HOME=/tmp
EXPOSE 3000
CMD ["/bin/bash", "-c", "exec bundle exec puma --port $PORT"]
# ---
# kind ruby, web, port 3000, because of Gemfile, .ruby-version
