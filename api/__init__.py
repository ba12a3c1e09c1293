"""The HTTP face of the ledger: reads the store, writes nothing. Deployed as the application, never inside a service."""
