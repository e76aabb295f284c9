"""A rented machine of a batch: its scene, its processes, what it has rendered."""
