-- What is open is counted every few seconds, for metrics.
create index contradictions_open on contradictions (severity) where closed_at is null;
