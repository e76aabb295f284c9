"""Rental keys, where users find them: see `octa_provider.rental.key`."""

from octa_provider.rental.key import MAX_KEY_CHARS, RENTAL_KEY_ENV, rental_key

__all__ = ["MAX_KEY_CHARS", "RENTAL_KEY_ENV", "rental_key"]
