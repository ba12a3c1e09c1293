"""Processes killed at chosen lines, servers killed under load, and what must hold afterwards. ``make crash`` runs all of it."""
