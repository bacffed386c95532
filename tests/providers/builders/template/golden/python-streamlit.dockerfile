# Python 3.14 (Streamlit, pip) · app.py
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM python:3.14-slim AS build
WORKDIR /app
RUN apt-get update && apt-get install --yes --no-install-recommends ffmpeg libgl1 \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --without-pip /venv
COPY ["requirements.txt", "./"]
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /venv/bin/python3 install -r requirements.txt
COPY . .

FROM python:3.14-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ffmpeg libgl1 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 ["/app/", "/app/"]
WORKDIR /app
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENV PORT=8000
EXPOSE 8000
CMD ["/bin/bash", "-c", "exec streamlit run app.py --server.address 0.0.0.0 --server.port $PORT --server.headless true"]
# ---
# kind python, web, port 8000, because of requirements.txt, app.py
