# Node.js 24 (Node server, npm)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM node:24-slim AS build
WORKDIR /app
COPY ["package.json", "./"]
RUN --mount=type=cache,target=/root/.npm \
    npm install
COPY . .

FROM node:24-slim
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV NODE_ENV=production PORT=8000 HOSTNAME=0.0.0.0 HOST=0.0.0.0 HOME=/tmp PATH=/app/node_modules/.bin:$PATH
EXPOSE 8000
ENTRYPOINT []
CMD ["node", "lib/index.js"]
# ---
# kind node, web, port 8000, because of package.json
