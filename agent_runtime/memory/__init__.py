"""What the model is given of a conversation: the window, and the long-term summary."""
