"""The broker: takes messages from programs, hands them to providers, and says truly what became of each."""

__version__ = "0.1.0"
