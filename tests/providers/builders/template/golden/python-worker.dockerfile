# Python 3.14 (program, pip) · worker.py
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM python:3.14-slim AS build
WORKDIR /app
RUN python3 -m venv --without-pip /venv
COPY ["requirements.txt", "./"]
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /venv/bin/python3 install -r requirements.txt
COPY . .

FROM python:3.14-slim
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
CMD ["python3", "worker.py"]
# ---
# kind python, worker, port None, because of requirements.txt, worker.py
