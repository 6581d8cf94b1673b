"""What every service of this repository stands on: PostgreSQL, background loops, logs, bounded fetches."""
