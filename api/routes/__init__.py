"""The paths under ``/v1``, a file per subject. Each handler: parse, check, call, and leave errors to the table of problems."""
