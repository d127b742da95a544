"""The command line: reproduce every figure, read the ledger of claims, list what there is."""
