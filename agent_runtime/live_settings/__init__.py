"""What the processes of one agent have in common and may change at runtime."""
