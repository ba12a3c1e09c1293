"""Who may state what, and what follows from the bytes received. Pure: no clock, file, socket or environment."""
