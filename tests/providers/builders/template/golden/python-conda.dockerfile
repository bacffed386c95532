# Python 3.11 (Flask, Conda) · app.py
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM mambaorg/micromamba:2 AS build
WORKDIR /app
USER root
COPY ["environment.yml", "./"]
RUN --mount=type=cache,target=/opt/conda/pkgs \
    micromamba create --yes --prefix /venv --file environment.yml
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/python3 -m pip install gunicorn

FROM debian:stable-slim
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENV PORT=8000
EXPOSE 8000
CMD ["/bin/bash", "-c", "exec gunicorn app:app --bind 0.0.0.0:$PORT"]
# ---
# kind python, web, port 8000, because of environment.yml, app.py
