# sparsedet in a container. On a machine with a GPU:
#
#   docker build --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 --build-arg CPU_TORCH= -t sparsedet .
#   docker run --gpus all --shm-size 2g --user "$(id -u):$(id -g)" -v "$PWD:/work" \
#       sparsedet train --train full.json -o run
#
# Without the arguments: an image for CPUs, small if pip's index has CPU builds of torch. Label Studio is not in it; its server has
# an image of its own, heartexlabs/label-studio.
ARG BASE=ubuntu:24.04
FROM ${BASE}

# Whether to look for CPU builds of torch; empty: builds with CUDA's libraries.
ARG CPU_TORCH=yes

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
RUN make image PYTHON=python3 CPU_TORCH=${CPU_TORCH}

# A home that any user may write to: caches of weights and fonts.
ENV PATH=/opt/sparsedet/.venv/bin:${PATH} HOME=/tmp
# Where annotations, workspaces and runs of the host are mounted.
WORKDIR /work
ENTRYPOINT ["sparsedet"]
CMD ["--help"]
