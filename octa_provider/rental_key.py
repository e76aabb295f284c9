"""Rental keys, where users find them: see `octa_provider.rental.key`."""

from octa_provider.rental.key import MAX_KEY_CHARS, rental_key
from octa_provider.wire.session_envs import RENTAL_KEY_ENV

__all__ = ["MAX_KEY_CHARS", "RENTAL_KEY_ENV", "rental_key"]
