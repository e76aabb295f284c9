"""Rental keys, where users find them: see `octa_provider.rental.key`."""

from octa_provider.models.session import RENTAL_KEY_ENV
from octa_provider.rental.key import MAX_KEY_CHARS, rental_key

__all__ = ["MAX_KEY_CHARS", "RENTAL_KEY_ENV", "rental_key"]
