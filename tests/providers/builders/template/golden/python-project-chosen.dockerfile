# Python 3.12 (Flask, pip) · pkg.web:make()
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM registry.example/python:1 AS build
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /uv && /uv/bin/python3 -m pip install uv
RUN python3 -m venv --without-pip /venv
ENV UV_LINK_MODE=copy
COPY ["pyproject.toml", "./"]
RUN --mount=type=cache,target=/root/.cache/uv \
    /uv/bin/uv pip install --python /venv/bin/python3 -r pyproject.toml gunicorn
COPY . .

FROM registry.example/python:1
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENV PORT=8000
EXPOSE 8000
CMD ["/bin/sh", "-c", "exec gunicorn 'pkg.web:make()' --bind 0.0.0.0:$PORT"]
# ---
# kind python, web, port 8000, because of pyproject.toml
