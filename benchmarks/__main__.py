"""Run every benchmark that needs nothing but this machine; one JSON line a result.

`python -m benchmarks` or `python -m benchmarks capture ring`. `live` wants gst-rtsp-server and
runs for a quarter of an hour, `durability` for a minute; `ped2` wants real footage
(docs/datasets.md): these only when named.
"""

import subprocess
import sys

ALL = ("capture", "ring", "reduce", "encoder", "alerts", "feedback", "replay")
NAMED_ONLY = ("durability", "evidence", "live", "ped2", "reconnects", "sinks", "soak")


def main(names: list[str]) -> int:
    """Run them one after the other; the worst exit status."""
    unknown = sorted(set(names) - {*ALL, *NAMED_ONLY})
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join((*ALL, *NAMED_ONLY))}",
              file=sys.stderr)  # fmt: skip
        return 2
    return max(
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
        for name in names or ALL
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
