"""Bundles kept in a folder, as `prefect_aws` keeps them in S3: `python -m bundle_folder --do upload ...`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from prefect.bundles.execute import execute_bundle_from_file

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--do", "--folder", "--key"):
        parser.add_argument(name)
    parser.add_argument("file", nargs="?")
    given = parser.parse_args()
    kept = Path(given.folder) / given.key
    if given.do == "upload":
        shutil.copy(given.file, kept)
    else:
        execute_bundle_from_file(str(kept))
