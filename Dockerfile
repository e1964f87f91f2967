FROM python:3.12-slim
LABEL org.opencontainers.image.title="StyleLoom" org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt '.[service,video,faces]' \
    && useradd --create-home --uid 1000 loom \
    && mkdir /data && chown loom /data
USER loom
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --start-period=20s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz')"]
# An open host demands a token: docker run -e STYLELOOM_TOKEN=... -p 7860:7860 -v data:/data styleloom
CMD ["sh", "-c", "exec styleloom serve --folder /data --host 0.0.0.0 --token \"$STYLELOOM_TOKEN\""]
