# Node.js 24 (Express, Yarn)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM node:24-slim AS build
WORKDIR /app
RUN command -v yarn || npm install --global yarn@1
COPY . .
RUN --mount=type=cache,target=/usr/local/share/.cache/yarn \
    yarn install --frozen-lockfile

FROM node:24-slim
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV NODE_ENV=production PORT=3000 HOSTNAME=0.0.0.0 HOST=0.0.0.0 HOME=/tmp PATH=/app/node_modules/.bin:$PATH
EXPOSE 3000
ENTRYPOINT []
CMD ["node", "server.js"]
# ---
# kind node, web, port 3000, because of package.json, yarn.lock
