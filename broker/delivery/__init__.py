"""Floor 3: the way of a message from acceptance to its final status; the only room that joins store, providers and policy."""
