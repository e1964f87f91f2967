"""Every verb once: on tensors, and on many files as jobs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["jobs"])
