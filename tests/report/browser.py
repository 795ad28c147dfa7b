"""What a real browser, without a network, makes of a report."""

from __future__ import annotations

import html
import json
import re
import subprocess
from dataclasses import dataclass

CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1280,2400",
    "--virtual-time-budget=10000",
    "--dump-dom",
]
# Bokeh draws into shadow roots, which --dump-dom leaves out: the probe looks into them and writes into an attribute.
PROBE = """
const seen = {errors: [], requests: [], painted: [], text: "", title: ""};
addEventListener("error", (event) => seen.errors.push(event.message));
addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => seen.errors.push(event.violatedDirective + event.blockedURI));
for (const level of ["error", "warn"]) console[level] = (...words) => seen.errors.push(words.join(" "));
function canvases(root) {
  const hosts = [...root.querySelectorAll("*")].filter((each) => each.shadowRoot);
  return [...root.querySelectorAll("canvas"), ...hosts.flatMap((each) => canvases(each.shadowRoot))];
}
function colours(canvas) {
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size;
}
addEventListener("load", () => setTimeout(() => {
  seen.title = document.title;
  seen.text = document.body.innerText.replaceAll("\u00a0", " ");
  seen.requests = performance.getEntriesByType("resource").map((each) => each.name);
  for (const figure of document.querySelectorAll("figure"))
    seen.painted.push([figure.getAttribute("aria-label"), Math.max(0, ...canvases(figure).map(colours))]);
  seen.intruder = window.intruder;
  document.documentElement.dataset.seen = JSON.stringify(seen);
}, 3000));
"""


@dataclass(frozen=True)
class Seen:
    """What the probe saw: `painted` is (label, number of colours on its canvas) of each figure."""

    title: str
    text: str
    errors: list[str]
    requests: list[str]
    painted: list[tuple[str, int]]
    intruder: str | None = None


def look(report, profile):
    """Open a report's text in Chromium with a fresh profile folder, and return what is seen."""
    nonce = re.search(r"nonce-([\w-]+)", report)[1]
    probe = f'<head>\n<meta charset="utf-8">\n<script nonce="{nonce}">{PROBE}</script>'
    page = profile / "page.html"
    page.parent.mkdir()
    page.write_text(report.replace("<head>", probe, 1))
    command = [*CHROMIUM, f"--user-data-dir={profile / 'data'}", page.as_uri()]
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    return Seen(**json.loads(html.unescape(re.search(r'data-seen="([^"]*)"', dom)[1])))
