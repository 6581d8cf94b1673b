"""The agent as A2A callers see it: card, messages, tasks, streams, push notifications. Only here is `a2a-sdk`."""
