# The service in a container: all of it in one (`taxomind serve`), or one part in each (compose.yaml).
#
#   docker build --tag taxomind .                  answers with the model that it brings along, converted here; no PyTorch
#   docker build --tag taxomind --target full .    with PyTorch: other models, fine-tuning, rerankers
#
# docs/hosting.md says how to run it.

ARG PYTHON=3.11

# Everything is installed here. PyTorch comes in its build for processors, which has no libraries of GPUs.
FROM python:${PYTHON}-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=postgres,telemetry
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/taxomind/bin:$PATH
RUN python -m venv /opt/taxomind
WORKDIR /src
COPY constraints.txt ./
RUN pip install --constraint constraints.txt --index-url "${TORCH_INDEX}" torch
COPY pyproject.toml README.md LICENSE ./
COPY taxomind_app taxomind_app
COPY taxomind_sensors taxomind_sensors
COPY taxomind_assets taxomind_assets
COPY taxomind_resources taxomind_resources
RUN pip install --constraint constraints.txt ".[${EXTRAS}]"
# The model is converted once, here. What a runtime compiles from it depends on the machine and is made there.
RUN taxomind --data /opt/begin init journal --yes \
    && rm -rf /opt/begin/models/*/compiled-* && mv /opt/begin/models /opt/models

# Without what only conversion and training need.
FROM build AS lean
RUN pip uninstall --yes torch sentence-transformers transformers

FROM python:${PYTHON}-slim-bookworm AS base
RUN useradd --uid 10001 --user-group --create-home --home-dir /home/taxomind taxomind \
    && install --directory --owner taxomind --group taxomind /data
ENV PATH=/opt/taxomind/bin:$PATH PYTHONUNBUFFERED=1 \
    TAXOMIND_DATA=/data TAXOMIND_MODELS=/opt/models \
    TAXOMIND_SERVICE__HOST=0.0.0.0
COPY --from=build /opt/models /opt/models
USER taxomind
WORKDIR /home/taxomind
VOLUME /data
EXPOSE 8000 3000
STOPSIGNAL SIGTERM
ENTRYPOINT ["taxomind"]
CMD ["serve", "--no-ui"]
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 CMD ["taxomind", "serve", "--only", "api", "--check"]

FROM base AS full
COPY --from=build /opt/taxomind /opt/taxomind

FROM base AS service
COPY --from=lean /opt/taxomind /opt/taxomind
