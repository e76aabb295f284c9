"""The OctaSpace API on this machine: real processes behind the real wire format. Needs the extra `emulator`."""
