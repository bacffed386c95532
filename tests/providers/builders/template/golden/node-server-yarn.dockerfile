# Node.js 24 (server, Yarn)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM node:24-slim AS build
WORKDIR /app
RUN command -v yarn || npm install --global yarn@1
COPY . .
RUN --mount=type=cache,target=/usr/local/share/.cache/yarn \
    yarn install --frozen-lockfile
RUN yarn install --production --ignore-scripts --prefer-offline

FROM node:24-slim
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV NODE_ENV=production PORT=3000 HOSTNAME=0.0.0.0 HOST=0.0.0.0 HOME=/tmp
EXPOSE 3000
CMD ["/bin/sh", "-c", "exec npm start"]
# ---
# kind node, web, port 3000, because of package.json, yarn.lock
