# Python 3.12 (Django, Pipenv) · manage.py
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM python:3.12-slim AS build
WORKDIR /app
RUN apt-get update && apt-get install --yes --no-install-recommends libpq-dev build-essential pkg-config \
 && rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /pipenv && /pipenv/bin/python3 -m pip install pipenv
RUN python3 -m venv /venv
ENV VIRTUAL_ENV=/venv PIPENV_VERBOSITY=-1
COPY ["Pipfile", "Pipfile.lock", "./"]
RUN --mount=type=cache,target=/root/.cache/pipenv --mount=type=cache,target=/root/.cache/pip \
    /pipenv/bin/pipenv install --deploy
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /venv/bin/python3 install gunicorn
RUN SECRET_KEY=build DJANGO_SECRET_KEY=build API_KEY=build /venv/bin/python3 manage.py collectstatic --noinput

FROM python:3.12-slim
RUN apt-get update && apt-get install --yes --no-install-recommends libpq5 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENV PORT=8000
EXPOSE 8000
CMD ["/bin/bash", "-c", "exec gunicorn shop.wsgi:application --bind 0.0.0.0:$PORT"]
# ---
# kind python, web, port 8000, because of Pipfile.lock, Pipfile, manage.py
