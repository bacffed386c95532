# Node.js 20 (Next.js, npm)
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM node:20-slim AS build
WORKDIR /app
COPY ["package.json", "package-lock.json", "./"]
RUN --mount=type=cache,target=/root/.npm \
    npm ci
COPY . .
RUN npm run build

FROM node:20-slim
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV NODE_ENV=production PORT=3000 HOSTNAME=0.0.0.0 HOST=0.0.0.0 HOME=/tmp NEXT_TELEMETRY_DISABLED=1 PATH=/app/node_modules/.bin:$PATH
EXPOSE 3000
ENTRYPOINT []
CMD ["next", "start"]
# ---
# kind node, web, port 3000, because of package.json, package-lock.json
