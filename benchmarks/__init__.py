"""What ``make bench`` measures: a module for each group of figures, real Kafka, real Postgres."""
