"""`make demo`: the whole journey of an agent, shown on a real one. Nothing in it is played back."""
