"""The generator of agent projects."""
