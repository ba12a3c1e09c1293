"""All targets by name. The one for HTTP needs a store, and stands in ``requests``."""

from __future__ import annotations

from typing import Final

from tests.fuzz.case import Target
from tests.fuzz.targets import archives, claims, decoders, facts, files, importers, judging, requests, spool, trust

HTTP: Final = requests.TARGET
WITHOUT_STORE: Final[tuple[Target, ...]] = (
    *decoders.TARGETS,
    *judging.TARGETS,
    *trust.TARGETS,
    *spool.TARGETS,
    *archives.TARGETS,
    *claims.TARGETS,
    *importers.TARGETS,
    *facts.TARGETS,
    *files.TARGETS,
)
TARGETS: Final = {each.name: each for each in (*WITHOUT_STORE, HTTP)}
