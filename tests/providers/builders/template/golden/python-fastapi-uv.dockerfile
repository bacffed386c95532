# Python 3.12 (FastAPI, uv) · app/main.py
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM python:3.12-slim AS build
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /uv && /uv/bin/python3 -m pip install uv
ENV UV_PROJECT_ENVIRONMENT=/venv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
COPY ["pyproject.toml", "uv.lock", "./"]
RUN --mount=type=cache,target=/root/.cache/uv \
    /uv/bin/uv sync --locked --no-dev --no-editable --no-install-project
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv \
    /uv/bin/uv sync --locked --no-dev --no-editable

FROM python:3.12-slim
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENV PORT=8000
EXPOSE 8000
CMD ["/bin/bash", "-c", "exec uvicorn app.main:api --host 0.0.0.0 --port $PORT"]
# ---
# kind python, web, port 8000, because of uv.lock, pyproject.toml, app/main.py
