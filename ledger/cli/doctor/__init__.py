"""``answerable doctor``: what is configured and from where, reachable, behind, and what to do. It changes nothing.

A check is a function that yields what it found; ``examine`` lists them all, in the order in which one mends things.
"""

from ledger.cli.doctor.verb import doctor

__all__ = ["doctor"]
