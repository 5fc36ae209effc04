# dropmill as a container. Build: docker build -t dropmill .
# Run, with three folders that the user may write to:
#   docker run --name mill --init --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     --user "$(id -u):$(id -g)" -v "$PWD/in:/inbox" -v "$PWD/out:/outbox" -v "$PWD/state:/state" dropmill
#
# Configured by variables alone: every setting has one (docs/configuration.md), a file may be mounted at
# /etc/dropmill/dropmill.toml instead. The page and the API listen on the container's own loopback. To open them, set
# DROPMILL_HTTP__BIND=0.0.0.0:8686 and DROPMILL_HTTP__TOKEN_FILE, since nothing but loopback is served without a token.
#
# URLs: mount a folder at /lists, which the user may write to, and set
#   DROPMILL_DROPFILES='[{"name": "list", "path": "/lists/urls.txt", "output": "/outbox"}]'
# Parquet: docker build --build-arg EXTRAS=heif,parquet -t dropmill .

FROM python:3.13-slim-trixie AS build
ARG EXTRAS=heif
WORKDIR /src
# Newer versions of pip read the second for what builds the wheel, older ones the first for everything.
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_BUILD_CONSTRAINT=/src/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
COPY constraints.txt pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY daemon daemon
RUN pip wheel --no-deps --wheel-dir /wheel . \
 && python -m venv /opt/dropmill \
 && /opt/dropmill/bin/pip install "$(echo /wheel/dropmill-*.whl)[${EXTRAS}]" \
 && /opt/dropmill/bin/dropmill version

FROM python:3.13-slim-trixie
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="dropmill" \
      org.opencontainers.image.description="Turns every image dropped into a folder, exactly once, into upright, colour-correct renditions" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/dropmill /opt/dropmill
RUN groupadd --gid 10001 dropmill \
 && useradd --uid 10001 --gid dropmill --no-create-home --home-dir /state --shell /usr/sbin/nologin dropmill \
 && install -d -o dropmill -g dropmill /inbox /outbox /state
ENV PATH=/opt/dropmill/bin:$PATH \
    DROPMILL_INBOX=/inbox \
    DROPMILL_OUTPUT=/outbox \
    DROPMILL_STATE_DIR=/state
USER 10001:10001
WORKDIR /state
VOLUME ["/inbox", "/outbox", "/state"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["dropmill", "health", "--live"]
ENTRYPOINT ["dropmill"]
CMD ["run"]
