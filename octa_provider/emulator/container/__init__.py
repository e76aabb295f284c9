"""What a session runs in: processes, images, SSH, ports."""
