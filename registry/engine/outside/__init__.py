"""How workflows reach what is not ours: within bounds, and with secrets only where they belong."""
