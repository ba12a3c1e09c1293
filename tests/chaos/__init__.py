"""Everything around the ledger fails while it works, by a seeded schedule, and a checker judges. ``make chaos`` runs it."""
