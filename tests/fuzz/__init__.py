"""Hostile bytes: a small target for each thing that reads what strangers wrote.

    make fuzz                                                 # every target, a million cases each
    make fuzz FUZZ_TARGET="bundle otlp" FUZZ_CASES=100000
    make fuzz FUZZ_SECONDS=60 FUZZ_SEED=7

A target takes bytes. It may return, or raise one of the typed errors of ``ledger.errors``; anything else is a flaw, and so are
a case of more than 100 ms and one that holds more than 64 MB (``case``). Most targets also compare two readers of the same
bytes. ``engine`` searches, guided by coverage; ``make test`` replays ``corpus/`` and adds some seeded mutations (``test_fuzz``).
A case that failed is kept in ``corpus/<target>/`` as ``crash-…``, and from then on is a test.
"""
