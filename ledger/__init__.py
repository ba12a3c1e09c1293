"""Answerable: a provenance and audit ledger for AI agents."""
