# Python 3.14 (Flask, Poetry) · app/__init__.py
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM python:3.14-slim AS build
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /poetry && /poetry/bin/python3 -m pip install poetry
RUN python3 -m venv --without-pip /venv
ENV VIRTUAL_ENV=/venv
COPY ["pyproject.toml", "poetry.lock", "./"]
RUN --mount=type=cache,target=/root/.cache/pypoetry \
    /poetry/bin/poetry install --only main --no-root --no-interaction
COPY . .

FROM python:3.14-slim
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENV PORT=8000
EXPOSE 8000
CMD ["/bin/bash", "-c", "exec gunicorn 'app:create_app()' --bind 0.0.0.0:$PORT"]
# ---
# kind python, web, port 8000, because of poetry.lock, pyproject.toml, app/__init__.py
