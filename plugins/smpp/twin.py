"""The other side of an SMPP account: `broker.provider.smpp_twin`'s SMSC as it is."""

from broker.provider.smpp_twin import SmscTwin


class Twin(SmscTwin):
    """An SMSC; SmscTwin says how it is scripted."""
