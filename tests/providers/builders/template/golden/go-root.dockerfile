# Go 1.25 · main package
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM golang:1.25 AS build
WORKDIR /src
COPY ["go.mod", "go.sum", "./"]
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/x .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=10001:10001 ["/out/", "/app/bin/"]
WORKDIR /app
USER 10001:10001
CMD ["/app/bin/x"]
# ---
# kind go, worker, port None, because of go.mod, go.sum
