# The image of Vigil: Python, the locked packages and Vigil, without a compiler or test tools, not run as root.
#
#   docker build -t vigil .
#   docker run --rm -e VIGIL_BROKER=kafka:9092 -e VIGIL_WEB_HOST=0.0.0.0 -p 127.0.0.1:6066:6066 vigil

# Images are pinned by digest: a tag may move. To renew one: docker buildx imagetools inspect python:3.11-slim
FROM python:3.11.15-slim@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93 AS build
RUN python -m venv /opt/vigil
WORKDIR /src
# A layer of its own: the packages change less often than Vigil.
COPY deploy/requirements.lock ./
RUN /opt/vigil/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock
# Vigil itself is built with a locked setuptools, in an environment that does not become part of the image.
COPY deploy/build.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement build.lock
COPY pyproject.toml README.md LICENSE ./
COPY app ./app
COPY agents ./agents
COPY topics ./topics
COPY src ./src
RUN /opt/build/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        --wheel-dir /dist . \
    && /opt/vigil/bin/pip install --no-cache-dir --disable-pip-version-check --no-index --no-deps /dist/*.whl

FROM python:3.11.15-slim@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93
ENV PATH=/opt/vigil/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN groupadd --system --gid 10001 vigil \
    && useradd --system --uid 10001 --gid vigil --home-dir /var/lib/vigil --create-home --shell /usr/sbin/nologin vigil
COPY --from=build /opt/vigil /opt/vigil
USER 10001:10001
WORKDIR /var/lib/vigil
EXPOSE 6066
# Ready: the worker has its shards and their state. Restoring a large state takes a while.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:6066/health/ready', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["vigil"]
CMD ["worker"]
