"""What turns work with, some of it taken from the registry: resolved, frozen together, replaced while they run."""
