"""Asks the demo's gateway and checks every answer.

    check.py EXPECTED.json

EXPECTED.json is what train.py wrote. The gateway stands in MODELWAY_GATEWAY, which `modelway up` sets.
Prints a table; the status is 0 only if every row holds.
"""

import os
import sys
import time
from pathlib import Path

import assignment
import dialects
import refusals
from demo import Demo
from table import Row, render


def main() -> int:
    started = time.monotonic()
    demo = Demo(os.environ.get("MODELWAY_GATEWAY", "http://127.0.0.1:8008"), Path(sys.argv[1]))
    rows = [run(check, demo) for check in (*dialects.CHECKS, *assignment.CHECKS, *refusals.CHECKS)]
    print(f"\n{render(rows)}\n")
    failed = sum(not row.holds for row in rows)
    verdict = f"{failed} of {len(rows)} rows do not hold" if failed else f"all {len(rows)} rows hold"
    print(f"{verdict}, checked in {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


def run(check, demo: Demo) -> Row:
    """One row; what goes wrong on the way is what was seen."""
    try:
        return check(demo)
    except Exception as error:  # noqa: BLE001  one check must not hide the others
        return Row(check.__name__.replace("_", " "), "an answer", f"{type(error).__name__}: {error}", False)


if __name__ == "__main__":
    sys.exit(main())
