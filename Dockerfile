# Images from one file: `--target trainer`, `searcher` (the trainer with what a search needs) and `service`. Trainer and
# service do not hold the other's code or libraries; the command `evenkeel` in each has what is there.

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv --without-pip /opt/venv && echo /app > /opt/venv/lib/python3.13/site-packages/evenkeel.pth
COPY scripts/launcher /opt/venv/bin/evenkeel

# Apart from the libraries, which need not be installed again when only the code has changed.
FROM build AS code
COPY models models
COPY trainer trainer
COPY service service
COPY evenkeel evenkeel
RUN python -m compileall -q models trainer service evenkeel

FROM build AS build-trainer
COPY requirements/trainer.txt .
RUN python -m pip --python /opt/venv install --require-hashes --no-deps --only-binary :all: -r trainer.txt
# What would reach for other machines (Flight, S3), headers and test data: a fifth of the image.
RUN cd /opt/venv/lib/python3.13/site-packages && \
    rm -rf pyarrow/*flight* pyarrow/*s3* pyarrow/include pyarrow/tests onnx/backend/test

FROM build-trainer AS build-searcher
COPY requirements/search.txt .
RUN python -m pip --python /opt/venv install --require-hashes --no-deps --only-binary :all: -r search.txt

FROM build AS build-service
COPY requirements/service.txt .
RUN python -m pip --python /opt/venv install --require-hashes --no-deps --only-binary :all: -r service.txt
# Tools for making models, which the service only runs.
RUN cd /opt/venv/lib/python3.13/site-packages/onnxruntime && rm -rf datasets quantization tools transformers

FROM python:3.13-slim-trixie AS base
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 EVENKEEL_REPOSITORY=/var/lib/models
# A fresh named volume takes over the owner of the folder that it is mounted on.
RUN install -d -o 10001 -g 10001 /var/lib/models
WORKDIR /app
COPY --from=code /build/models models
COPY --from=code /build/evenkeel evenkeel
USER 10001:10001

FROM base AS trainer
COPY --from=build-trainer /opt/venv /opt/venv
COPY --from=code /build/trainer trainer
COPY examples/penguins.csv examples/
ENTRYPOINT ["evenkeel"]
CMD ["fit", "examples/penguins.csv", "--target", "species", "--name", "penguins", "--once"]

FROM trainer AS searcher
# Compiled code is kept for the next run; in a read-only image there is nowhere else.
ENV NUMBA_CACHE_DIR=/tmp/numba
COPY --from=build-searcher /opt/venv /opt/venv
CMD ["search", "--help"]

FROM base AS service
ENV EVENKEEL_HOST=0.0.0.0 ORT_DISABLE_TELEMETRY=1
COPY --from=build-service /opt/venv /opt/venv
COPY --from=code /build/service service
EXPOSE 8080
ENTRYPOINT ["evenkeel"]
CMD ["serve"]
