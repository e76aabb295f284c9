"""Rendering an animation over many rented machines: what it will cost, and who renders what."""
