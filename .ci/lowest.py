"""Print a constraint for the lowest version of each core dependency that pyproject.toml admits."""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def main() -> None:
    """Print `name==floor`, one a line."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        match = re.fullmatch(r"(?P<name>[\w.-]+)(\[[\w,]+\])?>=(?P<floor>[\w.]+)(,.*)?", requirement)
        if match is None:
            raise SystemExit(f"Write {requirement!r} as name>=floor: its lowest version is tested.")
        print(f"{match['name']}=={match['floor']}")


if __name__ == "__main__":
    main()
