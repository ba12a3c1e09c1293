# The application: workers, API and command line. Which of them runs is the command's choice.
FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY ledger ledger
COPY consumers consumers
COPY api api
RUN pip install --no-cache-dir --editable '.[server]' \
 && useradd --uid 10001 --create-home answerable \
 && install -d -o answerable -m 0700 /data
USER answerable
ENV ANSWERABLE_DATA_DIR=/data
VOLUME /data
ENTRYPOINT ["answerable"]
