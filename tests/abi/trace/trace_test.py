#!/usr/bin/env python3
"""Reads what a traced program has written: the JSON as it is, the protobuf through Debian's protoc, and the page in a
headless Chromium. What the three say is compared. Without protoc or Chromium that part is skipped.

    trace_test.py TRACED LIBPYTHON
"""

import collections
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
TRACED, LIBPYTHON = sys.argv[1], os.environ.get("PYATTACH_TEST_LIBPYTHON", sys.argv[2])
LABEL = 'attached: </script><b>"label" \\ ?é'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def parse_text(lines):
    """A message of protobuf's text format, as a dict of lists."""
    message = collections.defaultdict(list)
    for line in lines:
        line = line.strip()
        if line == "}":
            break
        if line.endswith("{"):
            message[line[:-1].strip()].append(parse_text(lines))
            continue
        name, value = line.split(": ", 1)
        if value.startswith('"'):
            raw = re.sub(r"\\([0-7]{3}|.)", lambda m: chr(int(m[1], 8)) if len(m[1]) == 3 else m[1], value[1:-1])
            value = raw.encode("latin-1").decode()
        message[name].append(value)
    return message


class TraceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name)
        subprocess.run([TRACED, LIBPYTHON, cls.folder.name], check=True)
        cls.trace = json.loads((cls.path / "trace.json").read_text(encoding="utf-8"))
        cls.events = cls.trace["traceEvents"]
        cls.names = {e["tid"]: e["args"]["name"] for e in cls.events if e["name"] == "thread_name"}
        cls.kinds = {e["tid"]: e["args"]["kind"] for e in cls.events if e["name"] == "thread_name"}
        cls.slices = [e for e in cls.events if e["ph"] == "X"]
        cls.has_gil = "holder" in cls.kinds.values()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def of(self, thread):
        return sorted((s for s in self.slices if self.names[s["tid"]] == thread and self.kinds[s["tid"]] == "thread"),
                      key=lambda s: s["ts"])

    def test_the_states_of_a_thread_do_not_overlap(self):
        for thread in "first", "second":
            states = [s for s in self.of(thread) if s["cat"] != "work"]
            # In each of 20 rounds it attaches, detaches and attaches again. Waits for the mutex depend on the other thread.
            counted = collections.Counter(s["cat"] for s in states)
            for state, times in ("waiting", 2), ("attached", 2), ("detached", 1):
                self.assertGreaterEqual(counted[state], 20 * times, state)
            for one, next_one in zip(states, states[1:]):
                self.assertLessEqual(one["ts"] + one["dur"], next_one["ts"] + 0.0011)

    def test_the_label_is_complete_and_escaped(self):
        self.assertEqual(sum(s["name"] == LABEL for s in self.of("first")), 20)
        self.assertNotIn("</script><b>", (self.path / "trace.json").read_text(encoding="utf-8"))

    def test_with_a_gil_one_thread_holds_python_at_a_time(self):
        holds = sorted((s for s in self.slices if self.kinds[s["tid"]] == "holder"), key=lambda s: s["ts"])
        self.assertEqual(bool(holds), self.has_gil)
        for one, next_one in zip(holds, holds[1:]):
            self.assertLessEqual(one["ts"] + one["dur"], next_one["ts"] + 0.0011)

    def test_an_arrow_ends_in_a_wait_of_another_thread(self):
        begins = {e["id"]: e for e in self.events if e["ph"] == "s"}
        ends = {e["id"]: e for e in self.events if e["ph"] == "f"}
        self.assertEqual(begins.keys(), ends.keys())
        self.assertTrue(ends)  # of the mutex, if not of the GIL
        for number, end in ends.items():
            self.assertTrue(any(s["tid"] == end["tid"] and s["cat"] in ("waiting", "lock") and
                                s["ts"] <= end["ts"] <= s["ts"] + s["dur"] + 0.001 for s in self.slices), end)
            self.assertNotEqual(begins[number]["tid"], end["tid"])

    def test_the_protobuf_says_the_same(self):
        if not shutil.which("protoc"):
            self.skipTest("there is no protoc (on Debian: apt install protobuf-compiler)")
        data = (self.path / "trace.perfetto").read_bytes()
        raw = subprocess.run(["protoc", "--decode_raw"], input=data, stdout=subprocess.PIPE, check=True)
        self.assertTrue(raw.stdout)
        decoded = subprocess.run(["protoc", f"-I{HERE}", "--decode=perfetto.protos.Trace", "trace.proto"], input=data,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
        text = decoded.stdout.decode()
        self.assertEqual(decoded.stderr.decode(), "")
        # What the schema does not know protoc prints by number.
        self.assertFalse(re.search(r"^\s*\d+[:{ ]", text, re.M))
        packets = parse_text(iter(text.splitlines()))["packet"]
        tracks, open_slices, found = {}, collections.defaultdict(list), []
        flows, ended_flows, last = set(), set(), 0
        for packet in packets:
            for track in packet["track_descriptor"]:
                name = track["name"] or (track["thread"][0]["thread_name"] if track["thread"] else ["process"])
                tracks[track["uuid"][0]] = name[0]
            for event in packet["track_event"]:
                when, track = int(packet["timestamp"][0]), event["track_uuid"][0]
                self.assertIn(track, tracks)
                self.assertGreaterEqual(when, last)
                last = when
                kind = event["type"][0]
                if kind == "TYPE_SLICE_BEGIN":
                    open_slices[track].append((when, event["categories"][0], event["name"][0]))
                    flows.update(event["flow_ids"])
                    ended_flows.update(event["terminating_flow_ids"])
                elif kind == "TYPE_SLICE_END":
                    begin, category, name = open_slices[track].pop()
                    found.append((tracks[track], category, name, begin))
        self.assertEqual(flows, ended_flows)
        self.assertEqual(len(flows), sum(e["ph"] == "s" for e in self.events))
        expected = [(self.names[s["tid"]], s["cat"], s["name"], round(s["ts"] * 1000))
                    for s in self.slices if "open" not in s["args"]]
        self.assertEqual(sorted(s[:3] for s in found), sorted(s[:3] for s in expected))
        for mine, other in zip(sorted(found), sorted(expected)):
            self.assertLess(abs(mine[3] - other[3]), 2000)

    def test_the_page_shows_it(self):
        if not CHROMIUM:
            self.skipTest("there is no Chromium, which the tests do not install")
        page = (self.path / "trace.html").read_text(encoding="utf-8")
        self.assertFalse(re.search(r"(src|href)\s*=|https?://|fetch\(|XMLHttpRequest", page))
        # A click on the longest wait, and a text in its place if the page's own code fails.
        page = page.replace("<meta", "<script>window.onerror = text => { document.title = 'failed: ' + text }</script><meta", 1)
        page = page.replace("</html>", "<script>document.querySelector('#waits tbody tr').click()</script></html>")
        (self.path / "clicked.html").write_text(page, encoding="utf-8")
        dom = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.path}/profile",
             "--virtual-time-budget=2000", "--dump-dom", f"file://{self.path}/clicked.html"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120).stdout.decode()
        self.assertIn("<title>libpyattach trace</title>", dom)
        waits = sorted((s for s in self.slices if s["cat"] in ("waiting", "lock")), key=lambda s: -s["dur"])
        table = re.search(r'<table id="waits">.*?</table>', dom, re.S)[0]
        rows = re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.S)
        self.assertEqual(len(rows), min(20, len(waits)))
        first = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", rows[0])]
        self.assertIn(self.names[waits[0]["tid"]] + " [", first[1])
        self.assertIn(waits[0]["args"].get("by", ""), first[3])
        detail = html.unescape(re.search(r'<div id="detail">(.*?)</div>', dom, re.S)[1])
        self.assertIn(f"{self.names[waits[0]['tid']]} [", detail)
        if "by" in waits[0]["args"]:
            self.assertIn(f"who had it: {waits[0]['args']['by']}", detail)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
