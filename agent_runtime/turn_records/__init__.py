"""What is kept of turns that have ended: whose they were, what they used, and why they failed."""
