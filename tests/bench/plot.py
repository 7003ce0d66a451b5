#!/usr/bin/env python3
"""Draws what runs measured, as a picture in SVG.

    plot.py RESULTS.json... OUT.svg

One panel for each run; needs gnuplot.
"""

import json
import shutil
import subprocess
import sys

JOBS = [("nested", "nested attach"), ("attach", "attach,\\nnative thread"), ("first attach", "first attach\\nof a thread"),
        ("detach", "detach and\\nattach again"), ("drop", "drop,\\nnot attached")]
COLOURS = {"pyattach": "#0b7a75", "kept state": "#9aa5b1", "C API": "#e08e45", "pybind11": "#7b6fb0", "nanobind": "#b0577b",
           "PEP 788 view": "#4f86c6", "PyO3": "#c2463d", "mutex pool": "#6b705c"}
NAMES = {"pyattach": "libpyattach", "kept state": "state kept by hand (floor)"}


def panel(results):
    rows = results["rows"]
    jobs = [(job, title) for job, title in JOBS if job in rows]
    peers = [peer for peer in COLOURS if any(peer in rows[job] for job, _ in jobs)]
    width = 0.84 / len(peers)
    lines, plots = [], []
    for index, peer in enumerate(peers):
        block = f"$peer{id(results)}_{index}"
        lines.append(f"{block} << END")
        for place, (job, _) in enumerate(jobs):
            if peer in rows[job]:
                value = rows[job][peer]["median"]
                lines.append(f"{place + (index - (len(peers) - 1) / 2) * width:.4f} {value} {value:.3g}")
        lines.append("END")
        name = NAMES.get(peer, peer)
        plots.append(f"{block} using 1:2:({width * 0.92:.4f}) with boxes lc rgb '{COLOURS[peer]}' title '{name}'")
        plots.append(f"{block} using 1:2:(label($2)) with labels offset 0,0.5 font ',8' notitle")
    about = results["about"]
    lines.append(f"set title 'CPython {about['python']}, {about['kind']}, {about['mode']}: nanoseconds per operation, lower is better'")
    lines.append("set xtics (" + ", ".join(f'"{title}" {place}' for place, (_, title) in enumerate(jobs)) + ")")
    lines.append(f"set xrange [-0.55:{len(jobs) - 0.45}]")
    lines.append("plot " + ", \\\n  ".join(plots))
    return "\n".join(lines)


def draw(all_results, out):
    if not shutil.which("gnuplot"):
        print(f"plot.py: without gnuplot there is no {out}", file=sys.stderr)
        return
    height = 400 * len(all_results)
    script = f"""
set terminal svg size 1000,{height} dynamic enhanced font 'Helvetica,12' background rgb 'white'
set output '{out}'
label(value) = value >= 1e6 ? sprintf('%.1fM', value / 1e6) : value >= 1e4 ? sprintf('%.0fk', value / 1e3) : \\
    value >= 100 ? sprintf('%.0f', value) : value >= 10 ? sprintf('%.0f', value) : sprintf('%.1f', value)
set logscale y
set yrange [1:*]
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set style fill solid
set key outside below horizontal
set multiplot layout {len(all_results)},1
{chr(10).join(panel(results) for results in all_results)}
unset multiplot
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    loaded = []
    for path in sys.argv[1:-1]:
        with open(path) as file:
            loaded.append(json.load(file))
    draw(loaded, sys.argv[-1])
