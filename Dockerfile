# The server's image: the program, and what its sandboxes find, which is the base's.
#
#   scripts/release image      builds `sandtable:slim` and `sandtable:full`, each on the sandbox image of that flavor
#
# Any Debian 12 will do as a base; what the slim flavor has is installed where it is missing:
#
#   docker build --build-arg BASE=debian:bookworm-slim --tag sandtable:slim FOLDER
#
# FOLDER holds `amd64/sandtable`, `arm64/sandtable`, or both: the program for each architecture that is built for.
# With buildx one command makes the image of several: `docker buildx build --platform linux/amd64,linux/arm64 …`.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

USER root
RUN set -eu; \
    if ! command -v python3 >/dev/null; then \
        export DEBIAN_FRONTEND=noninteractive; \
        apt-get update; \
        apt-get install -y --no-install-recommends \
            7zip bc ca-certificates fd-find procps python3 python3-pip ripgrep sqlite3 unrar-free unzip; \
        rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt/* /var/log/dpkg.log; \
        name() { command -v "$1" >/dev/null || ln -s "$(command -v "$2")" "/usr/local/bin/$1"; }; \
        name 7z 7zz; name fd fdfind; name unrar unrar-free; name python python3; name pip pip3; \
    fi; \
    getent group 1000 >/dev/null || groupadd --gid 1000 user; \
    getent passwd 1000 >/dev/null || useradd --uid 1000 --gid 1000 --no-create-home --home-dir /home/user --shell /bin/bash user; \
    mkdir -p /home/user /data /scripts; \
    chown 1000:1000 /home/user /data; \
    chmod 0700 /data

ARG TARGETARCH=amd64
COPY ${TARGETARCH}/sandtable /usr/local/bin/sandtable
# By this name it brings the guest into pods (`--backend kubernetes`).
RUN ln -s sandtable /usr/local/bin/sandtable-guest

ARG VERSION=0
LABEL org.opencontainers.image.title=sandtable \
      org.opencontainers.image.description="A local emulator for the code execution side of Anthropic's API" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION}

USER 1000:1000
WORKDIR /home/user

# In a container the loopback address is the container's own. Who reaches the port is said by who publishes it:
# `-p 127.0.0.1:4010:4010` for this machine alone; where others reach it, set SANDTABLE_CONTROL_TOKEN. Requests must
# still name a host that is known, so that no web page drives it; `sandtable` is the service's name in compose files.
# Libraries are the base's: nothing is fetched at run time.
ENV HOME=/home/user \
    SANDTABLE_HOST=0.0.0.0 \
    SANDTABLE_PORT=4010 \
    SANDTABLE_OPEN_CONTROL=true \
    SANDTABLE_ALLOW_HOST=sandtable,host.docker.internal \
    SANDTABLE_DATA_DIR=/data \
    SANDTABLE_PROVISION=never

EXPOSE 4010
VOLUME ["/data"]
STOPSIGNAL SIGTERM

# HTTP/1.0 needs no Host. The shell's own socket: the image needs no client.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${SANDTABLE_PORT} && printf 'GET /_sandtable/health HTTP/1.0\\r\\n\\r\\n' >&3 && read -r status <&3 && [[ $status == *' 200 '* ]]"]

ENTRYPOINT ["sandtable"]
