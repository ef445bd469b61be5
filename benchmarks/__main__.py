"""``python -m benchmarks [NAME…] [--quick] [--peers] [--json FILE]``: measure, say how it went.

Exits with 1 when a figure is below its floor or a benchmark could not be carried out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from benchmarks.support import PICTURE, Bench, Figure, as_json, table

NAMES = (
    "throughput",
    "submit",
    "claim_cost",
    "group_change",
    "latency",
    "chains",
    "startup",
    "affinity",
    "api",
    "pages",
)


def main() -> int:
    """Run what was asked for; the table comes last."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is tidied up
    figures: list[Figure] = []
    broken: list[str] = []
    with Bench(options.quick, options.peers, options.picture) as bench:
        for name in options.names or NAMES:
            try:
                figures += _measured(bench, name)
            except Exception:  # the others are still worth their time
                traceback.print_exc()
                broken.append(name)
    print(f"\n{table(figures)}")
    if broken:
        print(f"\nNot carried out: {', '.join(broken)}")
    if options.json:
        options.json.write_text(json.dumps(as_json(figures), indent=2, ensure_ascii=False) + "\n")
    return int(bool(broken) or any(figure.is_below_floor for figure in figures))


def _measured(bench: Bench, name: str) -> Iterator[Figure]:
    module = importlib.import_module(f"benchmarks.{name}")
    print(f"{name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
    began = time.monotonic()
    yield from module.run(bench)
    print(f"  took {time.monotonic() - began:.0f} s", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds")
    parser.add_argument("--peers", action="store_true", help="also HyperQueue and Celery")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        default=PICTURE,
        help="where to draw the timelines of affinity",
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(NAMES)):
        parser.error(f"there is no {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
