#!/usr/bin/env python3
"""Draws what a run measured, as a picture in SVG: a panel for each job, a bar for each way to do it.

    plot.py RESULTS.json OUT.svg

Needs gnuplot.
"""

import json
import shutil
import subprocess
import sys

from report import PEERS, place

JOBS = [("nested", "attach and release, nested"), ("attach", "attach and release, native thread"),
        ("attach and call", "attach and call a Python function"),
        ("first attach", "first attach of a thread, and its end"), ("detach", "detach and attach again"),
        ("nested, Python thread", "nested, on a thread of Python's"),
        ("detach, Python thread", "detach, on a thread of Python's"),
        ("drop", "give a reference back, not attached"),
        ("worst attach after 1000000 drops", "worst attach after 1000000 drops")]
COLUMNS = 3
LEFT_OUT = ("pyattach C++", "pyattach assume", "PyO3 in a loop")
NAMES = {"pyattach": "libpyattach", "kept state": "state kept by hand", "mutex pool": "a pool with a mutex"}
OURS, FLOOR, OTHERS = 0x0B7A75, 0xB8C2CC, 0xE0A458


def text_of(nanoseconds):
    for unit, size in (("ms", 1e6), ("µs", 1e3), ("ns", 1)):
        if nanoseconds >= size:
            value = nanoseconds / size
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{nanoseconds:.1f} ns"


def peers_of(row):
    return sorted((peer for peer in row if peer not in LEFT_OUT), key=lambda peer: place(peer, PEERS))


def panel(title, row, lines):
    peers = peers_of(row)
    most = max(row[peer]["median"] for peer in peers)
    data = []
    for index, peer in enumerate(peers):
        value = row[peer]["median"]
        colour = OURS if peer == "pyattach" else FLOOR if peer == "kept state" else OTHERS
        data.append(f'{index} {value} {colour} "{text_of(value)}"')
    ticks = ", ".join(f'"{NAMES.get(peer, peer)}" {index}' for index, peer in enumerate(peers))
    return f"""
set label 1 "{title}" at graph -0.62,1.04 left font ',12'
set xrange [0:{most * 1.3}]
set yrange [{lines}:-0.8]
set ytics ({ticks}) scale 0 textcolor rgb 'black'
$data << END
{chr(10).join(data)}
END
plot $data using 2:1:(0):2:($1-0.38):($1+0.38):3 with boxxyerror fill solid noborder lc rgb variable, \\
     $data using 2:1:4 with labels left offset 0.4,0 font ',10'"""


def script_for(results, out):
    rows, about = results["rows"], results["about"]
    # The bars of all panels are equally thick.
    most = max(len(peers_of(rows[job])) for job, _ in JOBS if job in rows)
    panels = [panel(title, rows[job], most) for job, title in JOBS if job in rows]
    lines = (len(panels) + COLUMNS - 1) // COLUMNS
    return f"""
set encoding utf8
set terminal svg size 1080,{60 + (50 + 17 * most) * lines} dynamic font 'Helvetica,11' background rgb 'white'
set output '{out}'
unset key
unset xtics
set border 2 lc rgb '#888888'
set multiplot layout {lines},{COLUMNS} title "CPython {about['python']}, {about['kind']}, {about['mode']}; \
{about['machine']}; medians of {about['rounds']} rounds, shorter is better" font ',13'
set lmargin 18
set tmargin 2.4
{chr(10).join(panels)}
unset multiplot
"""


def draw(results, out):
    if not shutil.which("gnuplot"):
        print(f"plot.py: without gnuplot there is no {out}", file=sys.stderr)
        return
    subprocess.run(["gnuplot"], input=script_for(results, out), text=True, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as file:
        draw(json.load(file), sys.argv[2])
