"""The chat model that comes with the distribution: it needs no key, no network and no download."""
