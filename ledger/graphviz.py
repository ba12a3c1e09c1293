"""Drawing by Graphviz's ``dot``, where that is installed: a program of others, given text and bounded in time."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

from ledger.errors import DrawingFailed

SECONDS: Final = 10.0
MOST_BYTES: Final = 2 << 20
"""Of DOT: what is larger takes ``dot`` minutes, and nobody can look at it."""


def draw_svg(dot: str) -> bytes:
    """The SVG of a graph in DOT; raises ``DrawingFailed``, which says what to do."""
    program = shutil.which("dot")
    if program is None:
        raise DrawingFailed(
            "drawing needs Graphviz, and its program `dot` is not installed here: install it (Debian: apt-get install "
            "graphviz; macOS: brew install graphviz), or ask for the format dot and draw it elsewhere"
        )
    if len(dot) > MOST_BYTES:
        raise DrawingFailed("the graph is too large to draw: ask with fewer nodes, or for the format graphml")
    try:
        done = subprocess.run(  # noqa: S603 - no shell, no argument of a stranger's
            [program, "-Tsvg"], input=dot.encode(), capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DrawingFailed(f"`dot` did not draw it ({type(error).__name__}): ask with fewer nodes") from None
    if done.returncode != 0:
        raise DrawingFailed(f"`dot` ended with status {done.returncode}: ask for the format dot and draw it elsewhere")
    return done.stdout
