"""The LangGraph API of an agent, over the same turns as A2A."""
