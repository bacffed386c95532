# Go 1.25 (gin) · main package
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM golang:1.25 AS build
WORKDIR /src
COPY ["go.mod", "./"]
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/x .

FROM debian:stable-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=10001:10001 ["/out/", "/app/bin/"]
COPY --from=build --chown=10001:10001 ["/src/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/app/bin:$PATH
ENV PORT=8080
EXPOSE 8080
CMD ["/bin/bash", "-c", "exec bin/x --verbose"]
# ---
# kind go, web, port 8080, because of go.mod
