"""Check objects against the schemas of several versions of Kubernetes: objects as JSON on stdin, versions as arguments."""

import json
import sys
from functools import cache

from kubernetes_validate import utils


def main():
    """Print a line for each fault, and end with 1 when there is any."""
    # They are read anew for each object otherwise.
    utils.schema_contents = cache(utils.schema_contents)
    utils.all_versions = cache(utils.all_versions)
    faults = set()
    for one in json.load(sys.stdin):
        for version in sys.argv[1:]:
            try:
                utils.validate(one, version, strict=True)
            except Exception as exc:
                faults.add(f"{version} {one['kind']}: {getattr(exc, 'message', exc)}")
    print("\n".join(sorted(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
