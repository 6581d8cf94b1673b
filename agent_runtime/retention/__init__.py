"""How many checkpoints of a thread are kept, and the removal of those before them."""
