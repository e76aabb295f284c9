"""Files of this machine: looked at before they are sent, and written whole or not at all."""
