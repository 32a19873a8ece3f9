"""Generates `pallet/planner/wire/` from `api/planner.proto`: `python tools/generate_wire.py`.

The messages only. The one method is called by its path, so no stubs are needed.
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]  # publishes no types

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "pallet/planner/wire"


def generate(target: Path) -> None:
    """Write the generated modules below `target`, in their package's folder. Exits where protoc fails."""
    # The proto file is given the place of its module, so that it is registered under a name of its own and
    # the modules know their package.
    arguments = [
        f"-I{FOLDER}={ROOT / 'api'}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"{FOLDER}/planner.proto",
    ]
    if code := protoc.main(["protoc", *arguments]):
        sys.exit(code)


if __name__ == "__main__":
    generate(ROOT)
