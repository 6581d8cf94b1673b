"""Erasing what a person has said: in the registry itself, and by way of its agents."""
