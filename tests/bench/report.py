#!/usr/bin/env python3
"""Derives the ratios of a bench from its raw samples, prints the table and writes target/bench/NAME.json.

    report.py RAW.json OUT.json

Every bench of the house, in whatever language, leaves the raw samples of both sides and lets this script judge them,
so that a ratio means the same everywhere. RAW.json is

    {"machine": {…}, "rows": [{
        "name":  "filter …",            # begins with filter, mesh, runtime or llm
        "unit":  "µs per request",
        "of":    "ours/peer",           # or "peer/ours": what the ratio is; absent where there is no peer
        "goal":  "<= 1.15",             # for the ratio, without a peer for ours; absent: only reported
        "ours":  {"what": "…", "samples": […]},
        "peer":  {"what": "…", "samples": […]},
        "base":  {"what": "…", "samples": […]}     # optional: what both sides have in common and is taken off
    }]}

Samples of one round stand at the same place of all lists: the ratio is the median of the rounds' ratios. Lists of
different lengths were not measured in turn: then it is the ratio of the medians. OUT.json is the list of the rows with
`ours` and `peer` as medians, `ratio`, `spread` (the quartiles of the rounds' ratios), `goal`, `met` and the samples.
"""

import json
import math
import operator
import pathlib
import statistics
import sys

COMPARISONS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


def without_base(side: list[float], base: list[float] | None) -> list[float]:
    if base is None:
        return side
    if len(side) != len(base):
        raise SystemExit(f"report: {len(base)} samples of the base for {len(side)}, expected as many")
    return [sample - common for sample, common in zip(side, base)]


def ratio_of(ours: list[float], peer: list[float], of: str) -> tuple[float | None, list[float] | None]:
    """The ratio, and the quartiles of the rounds' ratios if the samples were taken in turn."""
    above, below = {"ours/peer": (ours, peer), "peer/ours": (peer, ours)}[of]
    if len(above) != len(below) or len(above) < 3:
        middle = statistics.median(below)
        return (statistics.median(above) / middle if middle > 0 else None), None
    # Where noise has eaten the difference to the base, the ratio has no bound; medians and quartiles stand that.
    rounds = sorted(one / other if other > 0 else math.inf for one, other in zip(above, below))
    first, middle, third = (rounds[round(part * (len(rounds) - 1))] for part in (0.25, 0.5, 0.75))
    if math.isinf(third):
        return (None if math.isinf(middle) else middle), None
    return middle, [first, third]


def meets(value: float | None, goal: str | None) -> bool | None:
    if goal is None:
        return None
    comparison, bound = goal.split()
    return value is not None and COMPARISONS[comparison](value, float(bound))


def judged(row: dict) -> dict:
    base = row["base"]["samples"] if "base" in row else None
    ours = without_base(row["ours"]["samples"], base)
    result = {"name": row["name"], "ours": statistics.median(ours), "peer": None, "unit": row["unit"], "ratio": None, "spread": None}
    if "peer" in row:
        peer = without_base(row["peer"]["samples"], base)
        result["peer"] = statistics.median(peer)
        result["ratio"], result["spread"] = ratio_of(ours, peer, row["of"])
        result["of"] = row["of"]
    goal = row.get("goal")
    value = result["ratio"] if "peer" in row else result["ours"]
    result |= {"goal": goal, "met": meets(value, goal)}
    result |= {"what": {side: row[side]["what"] for side in ("ours", "peer", "base") if side in row}}
    result |= {"samples": {side: row[side]["samples"] for side in ("ours", "peer", "base") if side in row}}
    return result


def shown(number: float | None, digits: int = 4) -> str:
    if number is None:
        return "–"
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.{max(0, digits - len(str(int(abs(number)))))}f}"


def table(rows: list[dict]) -> str:
    head = ["what", "ours", "peer", "unit", "ratio", "(quartiles)", "goal", "met"]
    marks = {True: "yes", False: "NO", None: ""}
    lines = [head]
    for row in rows:
        spread = f"({row['spread'][0]:.2f}–{row['spread'][1]:.2f})" if row["spread"] else ""
        ratio = f"{row['ratio']:.2f}" if row["ratio"] is not None else ""
        lines.append(
            [row["name"], shown(row["ours"]), shown(row["peer"]), row["unit"], ratio, spread, row["goal"] or "", marks[row["met"]]]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    right = {1, 2, 4}
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    raw = json.loads(pathlib.Path(sys.argv[1]).read_text())
    rows = [judged(row) for row in raw["rows"]]
    out = pathlib.Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    print(table(rows))
    print(f"\n{', '.join(f'{name} {value}' for name, value in raw['machine'].items())}; raw samples in {out}")


if __name__ == "__main__":
    main()
