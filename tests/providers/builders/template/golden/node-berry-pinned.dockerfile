# Node.js 24 (Express, Yarn Berry)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM node:24-slim AS build
WORKDIR /app
RUN npm install --global --force @yarnpkg/cli-dist@~4.9.1
COPY ["package.json", "yarn.lock", "./"]
RUN --mount=type=cache,target=/root/.yarn/berry/cache \
    YARN_NODE_LINKER=node-modules yarn install --immutable
COPY . .

FROM node:24-slim
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV NODE_ENV=production PORT=3000 HOSTNAME=0.0.0.0 HOST=0.0.0.0 HOME=/tmp PATH=/app/node_modules/.bin:$PATH
EXPOSE 3000
ENTRYPOINT []
CMD ["node", "a.js"]
# ---
# kind node, web, port 3000, because of package.json, yarn.lock
