"""`python -m octa_provider` is `octa-provider`."""

import sys

from octa_provider.cli import main

if __name__ == "__main__":
    sys.exit(main())
