# dropmill as a container. Build: docker build -t dropmill .
# Run, with three folders that the user may write to:
#   docker run --name mill --stop-timeout 60 --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     --user "$(id -u):$(id -g)" -v "$PWD/in:/inbox" -v "$PWD/out:/outbox" -v "$PWD/state:/state" dropmill
# A start that finds a folder that its user may not use says whose it is and what helps. No --init is needed: as process 1
# dropmill hands signals on to the daemon, and buries orphans, by itself (daemon/dropmill/cli/first_process.py).
#
# Configured by variables alone: every setting has one (docs/configuration.md), a file may be mounted at
# /etc/dropmill/dropmill.toml instead. The page and the API listen on the container's own loopback. To open them, set
# DROPMILL_HTTP__BIND=0.0.0.0:8686 and DROPMILL_HTTP__TOKEN_FILE, since nothing but loopback is served without a token.
#
# URLs: mount a folder at /lists, which the user may write to, and set
#   DROPMILL_DROPFILES='[{"name": "list", "path": "/lists/urls.txt", "output": "/outbox"}]'
# Parquet: docker build --build-arg EXTRAS=heif,parquet -t dropmill .
#
# A tag can be moved to other bytes by whoever owns it. What is built twice from the same bytes names them:
#   docker build --build-arg BASE="$(docker inspect --format '{{index .RepoDigests 0}}' python:3.13-slim-trixie)" …
#
# Small: the environment is made elsewhere and copied, so compilers, pip, wheels and caches stay behind. It is without pip,
# the libraries' own tests, headers and typing stubs. Most of the rest is numpy and scipy (perceptual hashes, comparisons)
# and the decoders, which their wheels bring; nothing is installed with apt. docs/operations.md has the figures.

ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
ARG EXTRAS=heif
WORKDIR /src
# Newer versions of pip read the second for what builds the wheel, older ones the first for everything.
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_BUILD_CONSTRAINT=/src/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
COPY constraints.txt pyproject.toml README.md CHANGELOG.md LICENSE ./
# The wheel brings the examples and units too.
COPY config config
COPY systemd systemd
COPY daemon daemon
RUN pip wheel --no-deps --wheel-dir /wheel . \
 && python -m venv --without-pip /opt/dropmill \
 && pip --python /opt/dropmill/bin/python install --no-compile "$(echo /wheel/dropmill-*.whl)[${EXTRAS}]"
# Compiled here, since a read-only root keeps no bytecode: without, each start would compile for seconds. The files of the
# image never change, so none is looked at again to find out whether its bytecode is still right.
RUN find /opt/dropmill/lib -depth -type d -name tests -path '*/site-packages/*' -exec rm -r {} + \
 && find /opt/dropmill/lib -type f '(' -name '*.a' -o -name '*.h' -o -name '*.pyi' -o -name '*.pxd' ')' -delete \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/dropmill/lib \
 && /opt/dropmill/bin/python -c 'from dropmill.imaging import entry; entry.preload()' \
 && /opt/dropmill/bin/dropmill version --components

FROM ${BASE}
ARG VERSION=0.1.0
# Who publishes the image tells where it comes from; empty otherwise.
ARG SOURCE=""
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="dropmill" \
      org.opencontainers.image.description="Turns every image dropped into a folder, exactly once, into upright, colour-correct renditions" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# Any user will do. Platforms that choose one at random give it group 0, which may therefore write to the folders.
RUN groupadd --gid 10001 dropmill \
 && useradd --uid 10001 --gid dropmill --no-create-home --home-dir /state --shell /usr/sbin/nologin dropmill \
 && install -d -o dropmill -g 0 -m 0775 /inbox /outbox /state
COPY --from=build /opt/dropmill /opt/dropmill
ENV PATH=/opt/dropmill/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DROPMILL_INBOX=/inbox \
    DROPMILL_OUTPUT=/outbox \
    DROPMILL_STATE_DIR=/state
USER 10001:10001
WORKDIR /state
VOLUME ["/inbox", "/outbox", "/state"]
STOPSIGNAL SIGTERM
# It asks where the state directory says that the daemon listens, be it a port, another address or a Unix socket. The first
# answer ends the start, which after a crash takes as long as checking the catalog does.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --retries=3 CMD ["dropmill", "health", "--live"]
ENTRYPOINT ["dropmill"]
CMD ["run"]
