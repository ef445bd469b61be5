"""The stores of ``tests.store``, for what stands above them."""

from tests.store.conftest import (
    clock,
    postgres_of_this_worker,
    postgres_template,
    sqlite_template,
    store,
    store_url,
)
from tests.support.hashing import quick_hashes

__all__ = [
    "clock",
    "postgres_of_this_worker",
    "postgres_template",
    "quick_hashes",
    "sqlite_template",
    "store",
    "store_url",
]
