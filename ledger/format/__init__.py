"""Bytes to values and back: what a stranger implements from ``docs/format.md``. Pure: no clock, file, socket or environment."""
