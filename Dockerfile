# The image podset-planner-scheduler: `pallet`, as user 65532, on a root file system that may be read-only.
FROM docker.io/library/python:3.13-slim-trixie AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/pallet
# First what changes seldom, so that a change of the program does not download it again.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN pip install --require-hashes --only-binary :all: -r requirements/build.txt \
    && pip --python /opt/pallet/bin/python install --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY pallet pallet
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . \
    && pip --python /opt/pallet/bin/python install --no-deps --no-index /wheels/*.whl

# Of the client library the configuration alone is used, and no class of the API (123 MB); numpy's tests have 17 MB.
WORKDIR /opt/pallet/lib/python3.13/site-packages
RUN find kubernetes/client kubernetes/aio/client \( -path '*/api/*' -o -path '*/models/*' \) \
        ! -name '__init__*' -type f -delete \
    && find numpy -depth -type d -name tests -exec rm -r {} +

FROM docker.io/library/python:3.13-slim-trixie
ARG COMMIT=""
LABEL org.opencontainers.image.title="podset-planner-scheduler" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /opt/pallet /opt/pallet
ENV PATH=/opt/pallet/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PALLET_COMMIT="${COMMIT}"
USER 65532:65532
# The planner; metrics and health.
EXPOSE 7777 10259
ENTRYPOINT ["pallet"]
