# Images from one file: `--target trainer`, `searcher` (the trainer with what a search needs) and `service`. Trainer and
# service do not hold the other's code or libraries; the command `evenkeel` in each has what is there.
# Libraries stand before code in each, so a change of code alone is built in a second or two.

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# `strip`, for deploy/slim.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils >/dev/null
WORKDIR /build
COPY deploy/slim deploy/install ./
RUN python -m venv --without-pip /opt/venv && echo /app > /opt/venv/lib/python3.13/site-packages/evenkeel.pth
COPY scripts/launcher /opt/venv/bin/evenkeel

# Each package is compiled by itself, so that a change of one compiles that one.
FROM build AS models
COPY models models
RUN python -m compileall -q models

FROM build AS evenkeel
COPY evenkeel evenkeel
RUN python -m compileall -q evenkeel

FROM build AS trainer-code
COPY trainer trainer
RUN python -m compileall -q trainer

FROM build AS service-code
COPY service service
RUN python -m compileall -q service

FROM build AS build-trainer
COPY requirements/trainer.txt requirements/storage.txt requirements/archive.txt ./
RUN ./install trainer storage archive

FROM build AS build-searcher
COPY requirements/trainer.txt requirements/search.txt requirements/storage.txt requirements/archive.txt ./
RUN ./install trainer search storage archive

FROM build AS build-service
COPY requirements/service.txt requirements/storage.txt ./
RUN ./install service storage

# The base without what could add to it or gain rights: pip, package lists, setuid.
FROM python:3.13-slim-trixie AS root
RUN rm -rf /usr/bin/pip* /usr/local/bin/pip* /usr/share/python-wheels /var/lib/apt/lists/* /var/cache/* && \
    for package in pip ensurepip test idlelib pydoc_data; do \
        rm -rf "$(python -c "import sys, importlib.util as u; s = u.find_spec(sys.argv[1]); \
            print(s.submodule_search_locations[0] if s else '/nowhere')" "$package")"; \
    done && \
    find / -xdev -type f -perm /6000 -exec chmod a-s {} + && \
    # A fresh named volume takes over the owner of the folder that it is mounted on.
    install -d -o 10001 -g 10001 /var/lib/models /var/lib/predictions /var/cache/evenkeel && install -d -o 10001 -g 10001 -m 700 /var/lib/study

# What each image holds, as CycloneDX: Debian's packages, Python, the libraries, Evenkeel.
FROM build AS sbom
COPY requirements/sbom.txt .
RUN python -m venv --without-pip /opt/sbom && \
    python -m pip --quiet --python /opt/sbom install --require-hashes --no-deps --only-binary :all: -r sbom.txt
COPY deploy/sbom models/__init__.py ./

FROM sbom AS sbom-trainer
RUN --mount=from=build-trainer,source=/opt/venv,target=/opt/venv \
    --mount=from=root,source=/var/lib/dpkg,target=/base/dpkg ./sbom evenkeel-trainer

FROM sbom AS sbom-searcher
RUN --mount=from=build-searcher,source=/opt/venv,target=/opt/venv \
    --mount=from=root,source=/var/lib/dpkg,target=/base/dpkg ./sbom evenkeel-searcher

FROM sbom AS sbom-service
RUN --mount=from=build-service,source=/opt/venv,target=/opt/venv \
    --mount=from=root,source=/var/lib/dpkg,target=/base/dpkg ./sbom evenkeel-service

# One layer, in which what was removed takes no space.
FROM scratch AS base
COPY --from=root / /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 EVENKEEL_REPOSITORY=/var/lib/models
LABEL org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.base.name=python:3.13-slim-trixie \
    evenkeel.sbom=/usr/share/sbom.cdx.json
WORKDIR /app
USER 10001:10001

FROM base AS trainer
COPY --from=build-trainer /opt/venv /opt/venv
COPY --from=sbom-trainer /sbom.cdx.json /usr/share/
COPY examples/penguins.csv examples/
COPY --from=models /build/models models
COPY --from=evenkeel /build/evenkeel evenkeel
COPY --from=trainer-code /build/trainer trainer
ENTRYPOINT ["evenkeel"]
CMD ["fit", "examples/penguins.csv", "--target", "species", "--name", "penguins", "--once"]
ARG VERSION=unreleased REVISION=unknown
LABEL org.opencontainers.image.title=evenkeel-trainer \
    org.opencontainers.image.description="Trains batch-normalised classifiers on tables" \
    org.opencontainers.image.version=$VERSION org.opencontainers.image.revision=$REVISION

FROM base AS searcher
# Compiled code is kept for the next run; in a read-only image there is nowhere else.
ENV NUMBA_CACHE_DIR=/tmp/numba
COPY --from=build-searcher /opt/venv /opt/venv
COPY --from=sbom-searcher /sbom.cdx.json /usr/share/
COPY examples/penguins.csv examples/
COPY --from=models /build/models models
COPY --from=evenkeel /build/evenkeel evenkeel
COPY --from=trainer-code /build/trainer trainer
ENTRYPOINT ["evenkeel"]
CMD ["search", "--help"]
ARG VERSION=unreleased REVISION=unknown
LABEL org.opencontainers.image.title=evenkeel-searcher \
    org.opencontainers.image.description="Searches the settings of a training" \
    org.opencontainers.image.version=$VERSION org.opencontainers.image.revision=$REVISION

FROM base AS service
ENV EVENKEEL_HOST=0.0.0.0 ORT_DISABLE_TELEMETRY=1
COPY --from=build-service /opt/venv /opt/venv
COPY --from=sbom-service /sbom.cdx.json /usr/share/
COPY --from=models /build/models models
COPY --from=evenkeel /build/evenkeel evenkeel
COPY --from=service-code /build/service service
EXPOSE 8080
ENTRYPOINT ["evenkeel"]
CMD ["serve"]
ARG VERSION=unreleased REVISION=unknown
LABEL org.opencontainers.image.title=evenkeel-service \
    org.opencontainers.image.description="Serves predictions of published models" \
    org.opencontainers.image.version=$VERSION org.opencontainers.image.revision=$REVISION
