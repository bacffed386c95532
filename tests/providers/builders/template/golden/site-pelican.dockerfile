# Pelican · static site in output/
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

# Orca puts its own Caddy here, so that no registry is needed.
ARG ORCA_CADDY_IMAGE=caddy:2
FROM ${ORCA_CADDY_IMAGE} AS caddy

FROM python:3.14-slim AS build
WORKDIR /app
COPY ["requirements.txt", "/srv/requirements.txt"]
RUN python3 -m venv /venv && /venv/bin/python3 -m pip install -r /srv/requirements.txt pelican[markdown]
COPY . .
RUN /venv/bin/pelican content -s publishconf.py -o output

FROM scratch
COPY --from=caddy /usr/bin/caddy /usr/bin/caddy
COPY orca.Caddyfile /etc/caddy/Caddyfile
COPY --from=build ["/app/output/", "/srv/"]
USER 10001:10001
WORKDIR /data
ENV PORT=8080 XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data
EXPOSE 8080
CMD ["/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
# ---
# kind static, static, port 8080, because of pelicanconf.py
