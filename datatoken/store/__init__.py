"""The store of documents and bundles: content-addressed, and believed only after hashing.

`open_store` is the only way in; it hands out a `VerifyingStore`.
"""

from datatoken.store.base import Store
from datatoken.store.cid import cid_of, digest_of
from datatoken.store.limits import Limits
from datatoken.store.verifying import VerifyingStore, open_store

__all__ = ["Limits", "Store", "VerifyingStore", "cid_of", "digest_of", "open_store"]
