# Images from one file: `--target trainer`, `searcher` (the trainer with what a search needs) and `service`. Trainer and
# service do not hold the other's code or libraries; the command `evenkeel` in each has what is there.
# Libraries stand before code in each, so a change of code alone is built in a second or two.

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# `strip`, for deploy/slim.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils >/dev/null
WORKDIR /build
COPY deploy/slim .
RUN python -m venv --without-pip /opt/venv && echo /app > /opt/venv/lib/python3.13/site-packages/evenkeel.pth
COPY scripts/launcher /opt/venv/bin/evenkeel

FROM build AS code
COPY models models
COPY trainer trainer
COPY service service
COPY evenkeel evenkeel
RUN python -m compileall -q models trainer service evenkeel

FROM build AS build-trainer
COPY requirements/trainer.txt .
RUN python -m pip --python /opt/venv install --require-hashes --no-deps --only-binary :all: -r trainer.txt && ./slim

FROM build AS build-searcher
COPY requirements/trainer.txt requirements/search.txt ./
RUN python -m pip --python /opt/venv install --require-hashes --no-deps --only-binary :all: -r trainer.txt -r search.txt \
    && ./slim

FROM build AS build-service
COPY requirements/service.txt .
RUN python -m pip --python /opt/venv install --require-hashes --no-deps --only-binary :all: -r service.txt && ./slim

# The base without what could add to it or gain rights: pip, package lists, setuid.
FROM python:3.13-slim-trixie AS root
RUN rm -rf /usr/bin/pip* /usr/local/bin/pip* /usr/share/python-wheels /var/lib/apt/lists/* /var/cache/* && \
    for package in pip ensurepip test idlelib pydoc_data; do \
        rm -rf "$(python -c "import sys, importlib.util as u; s = u.find_spec(sys.argv[1]); \
            print(s.submodule_search_locations[0] if s else '/nowhere')" "$package")"; \
    done && \
    find / -xdev -type f -perm /6000 -exec chmod a-s {} + && \
    # A fresh named volume takes over the owner of the folder that it is mounted on.
    install -d -o 10001 -g 10001 /var/lib/models /var/cache/evenkeel

# One layer, in which what was removed takes no space.
FROM scratch AS base
COPY --from=root / /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 EVENKEEL_REPOSITORY=/var/lib/models
LABEL org.opencontainers.image.title=evenkeel org.opencontainers.image.licenses=Apache-2.0
WORKDIR /app
USER 10001:10001

FROM base AS trainer
COPY --from=build-trainer /opt/venv /opt/venv
COPY examples/penguins.csv examples/
COPY --from=code /build/models models
COPY --from=code /build/evenkeel evenkeel
COPY --from=code /build/trainer trainer
ENTRYPOINT ["evenkeel"]
CMD ["fit", "examples/penguins.csv", "--target", "species", "--name", "penguins", "--once"]

FROM base AS searcher
# Compiled code is kept for the next run; in a read-only image there is nowhere else.
ENV NUMBA_CACHE_DIR=/tmp/numba
COPY --from=build-searcher /opt/venv /opt/venv
COPY examples/penguins.csv examples/
COPY --from=code /build/models models
COPY --from=code /build/evenkeel evenkeel
COPY --from=code /build/trainer trainer
ENTRYPOINT ["evenkeel"]
CMD ["search", "--help"]

FROM base AS service
ENV EVENKEEL_HOST=0.0.0.0 ORT_DISABLE_TELEMETRY=1
COPY --from=build-service /opt/venv /opt/venv
COPY --from=code /build/models models
COPY --from=code /build/evenkeel evenkeel
COPY --from=code /build/service service
EXPOSE 8080
ENTRYPOINT ["evenkeel"]
CMD ["serve"]
