#!/usr/bin/env python3
"""Reads every result under a folder and says what came out. `holdfast analyze <dir>` runs this file.

Exit codes: 0 results were read; 1 there are none, or the folder is missing; 2 the file of --out cannot be written. Standard library only, but for --data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from payload.analysis import dataset_info, summarise
from payload.files import finite, write_json


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def mark(row: dict[str, Any]) -> str:
    return " (synthetic data)" if row["synthetic"] else ""


def settings_of(hyperparameters: dict[str, Any], differing: list[str]) -> list[str]:
    """Those in which trials differ; all of them where none does (a single trial)."""
    shown = [name for name in differing if name in hyperparameters] or sorted(hyperparameters)
    left = len(hyperparameters) - len(shown)
    lines = [f"  {name} = {short(hyperparameters[name])}" for name in shown]
    return lines + ([f"  and {left} settings that all trials share (--json shows them)"] if left else [])


def as_text(summary: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in summary["counts"].items() if count)
    lines = [f"{summary['trials']} trials in {summary['directory']}: {counts or 'nothing'}"]
    if summary["synthetic"]:
        lines.append(f"{summary['synthetic']} of them on synthetic data: these say nothing about CIFAR-100")
    spread = summary["objective"]
    if spread["count"]:
        words = ", ".join(f"{name} {short(spread[name])}" for name in ("max", "median", "mean", "std", "min"))
        lines.append(f"{' / '.join(summary['objective_metrics'])}: {words}")
    best = summary["best"]
    if best is not None:
        lines.append("")
        lines += [f"{short(row['objective']):>8}  {row['job_id']}  {row['trial_folder']}{mark(row)}" for row in summary["ranking"]]
        lines.append("")
        lines.append(f"best: {best['job_id']}{mark(best)}")
        lines += settings_of(best["hyperparameters"], summary["settings_that_differ"])
    for category, entry in sorted(summary["failures"].items(), key=lambda item: -item[1]["count"]):
        stages = ", ".join(f"{stage} {count}" for stage, count in entry["stages"].items())
        lines.append(f"{entry['count']} x {category} ({stages}): {entry['examples'][0]['message']}")
    if "dataset" in summary:
        lines.append("data: " + ", ".join(f"{name} {value}" for name, value in summary["dataset"].items()))
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="analyze.py", description="Counts and compares every result under a folder, in ours and in both old forms.")
    parser.add_argument("dir", help="folder of results; everything below it is read")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", metavar="FILE", help="write the JSON object to a file as well")
    parser.add_argument("--minimize", action="store_true", help="the least objective is the best")
    parser.add_argument("--data", metavar="DIR", help="describe this data set too (needs numpy)")
    options = parser.parse_args(arguments)
    if not os.path.isdir(options.dir):
        print(f"error: {options.dir} is no folder. Name the folder of a launch, or one above it.", file=sys.stderr)
        return 1
    summary = summarise(options.dir, options.minimize)
    if options.data:
        summary["dataset"] = dataset_info(options.data)
    if options.out:
        try:
            write_json(options.out, summary)
        except OSError as error:
            print(f"error: --out {options.out} cannot be written: {error.strerror}. Name another place.", file=sys.stderr)
            return 2
    print(json.dumps(finite(summary), allow_nan=False) if options.json else as_text(summary))
    if summary["trials"] == 0:
        print(f"error: no results.json lies under {options.dir}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
