"""Sessions that are started exactly once, waited for, and stopped for certain."""
