"""How much the agent's database holds, how it grows, and what retention would remove of it."""
