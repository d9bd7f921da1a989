# sparsedet in a container. On a machine with a GPU:
#
#   docker build --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 --build-arg TORCH_INDEX= -t sparsedet .
#   docker run --gpus all --shm-size 2g --user "$(id -u):$(id -g)" -v "$PWD:/work" \
#       sparsedet train --train full.json -o run
#
# Without the arguments: an image for CPUs, of about 2 GB. Label Studio is not in it; its server has
# an image of its own, heartexlabs/label-studio.
ARG BASE=ubuntu:24.04
FROM ${BASE}

# Of PyTorch's CPU builds; empty: PyPI's, which bring CUDA's libraries.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/sparsedet
COPY pyproject.toml MANIFEST.in README.md LICENSE NOTICE CHANGELOG.md CITATION.cff Makefile ./
COPY requirements requirements
COPY sparsedet sparsedet
COPY cli cli
COPY integrations integrations
COPY configs configs
COPY splits splits
RUN make image PYTHON=python3 TORCH_INDEX=${TORCH_INDEX}

# A home that any user may write to: caches of weights and fonts.
ENV PATH=/opt/sparsedet/.venv/bin:${PATH} HOME=/tmp
# Where annotations, workspaces and runs of the host are mounted.
WORKDIR /work
ENTRYPOINT ["sparsedet"]
CMD ["--help"]
