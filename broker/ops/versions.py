"""Which versions of what the broker stands on are in use: said once at its start, for whoever has to tell one fault from another."""

import platform

import trio


def show_versions(**more: str) -> str:
    """`python=3.11.7 trio=0.35.0 sqlite=3.40.1`: of Python, of trio and of what else the caller stands on."""
    versions = {"python": platform.python_version(), "trio": trio.__version__, **more}
    return " ".join(f"{name}={version}" for name, version in versions.items())
