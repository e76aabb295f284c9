"""`python -m octa_provider.emulator`."""

import sys

from octa_provider.emulator.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
