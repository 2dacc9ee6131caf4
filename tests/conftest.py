"""What holds for every test: no example of hypothesis is judged by how long it took, for the machine may be busy."""

from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")
