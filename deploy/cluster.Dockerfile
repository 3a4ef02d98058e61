# A machine or pod of a cluster: `docker build -f deploy/cluster.Dockerfile -t passivbot-cluster .`
FROM rust:1.88-bookworm AS wheel
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN python3 -m venv /build && /build/bin/pip install "maturin>=1.9,<2" \
    && cd /source && /build/bin/maturin build --release --locked --out /wheels

FROM python:3.12-slim-bookworm
# wget is what KubeRay asks a pod's health with.
RUN apt-get update && apt-get install -y --no-install-recommends wget procps && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && rm -rf /wheels
COPY scripts/node /usr/local/bin/passivbot-node
ENV PASSIVBOT_CACHE=/cache RAY_USAGE_STATS_ENABLED=0
WORKDIR /data
