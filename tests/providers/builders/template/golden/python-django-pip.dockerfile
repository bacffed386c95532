# Python 3.11 (Django, pip) · manage.py
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM python:3.11-slim AS build
WORKDIR /app
RUN python3 -m venv --without-pip /venv
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /venv/bin/python3 install -r requirements.txt gunicorn
RUN SECRET_KEY=build DJANGO_SECRET_KEY=build /venv/bin/python3 manage.py collectstatic --noinput

FROM python:3.11-slim
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENV PORT=8000
EXPOSE 8000
CMD ["/bin/bash", "-c", "exec gunicorn mysite.wsgi:application --bind 0.0.0.0:$PORT"]
# ---
# kind python, web, port 8000, because of requirements.txt, manage.py
