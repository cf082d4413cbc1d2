FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04
LABEL org.opencontainers.image.authors='Ada Lovelace <ada@example.com>'
COPY --from=ghcr.io/astral-sh/uv:0.12.10 /uv /usr/local/bin/uv
ENV UV_PYTHON_INSTALL_DIR=/opt/python VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
RUN uv venv --seed --managed-python --python 3.12 /opt/venv
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y git g++ && rm -rf /var/lib/apt/lists/*
RUN apt-get remove -y vim
RUN pip install --no-cache-dir --extra-index-url https://download.example.com/cu124 'torch>=2.4' 'uvicorn[standard]'
ENV HF_HOME=/cache
ENV GREETING='it'"'"'s $5'
ENV PATH=/app/bin:${PATH}
LABEL team='search & ranking'
ADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 https://example.com/model.bin /models/
ADD --chown=app:app --chmod=644 weights.tar.gz /models/
COPY ["my notes.txt", "/app/"]
RUN useradd --create-home app
RUN ["/bin/sh", "-c", "set -e\npython - <<EOF\nprint('ready')\nEOF"]
WORKDIR /app
USER app
EXPOSE 8000/tcp
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD curl -f http://127.0.0.1:8000/livez
ENTRYPOINT ["chutes", "run", "app:chute"]
