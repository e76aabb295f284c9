"""What renders a frame: Blender, or any command; and what a scene says of itself."""
