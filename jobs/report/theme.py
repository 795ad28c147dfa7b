"""How a report looks: fonts, colours, the style sheet and Bokeh's theme."""

from bokeh.themes import Theme
from markupsafe import Markup

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
INK, FRAME, GRID = "#33404d", "#c4ccd4", "#e9edf1"

CSS = Markup("""
:root { color-scheme: light; --ink: #1c2733; --soft: #55636f; --line: #d9dfe5; --fill: #f5f7f9; --link: #12355b; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; }
main { max-width: 1164px; margin: 0 auto; padding: 40px 28px 64px; }
h1 { margin: 0 0 4px; font-size: 30px; line-height: 1.2; letter-spacing: -0.01em; }
h2 { margin: 44px 0 10px; padding-top: 18px; border-top: 1px solid var(--line); font-size: 20px; line-height: 1.3; }
p { margin: 0 0 10px; max-width: 76ch; overflow-wrap: break-word; }
.lead { font-size: 19px; line-height: 1.5; }
.origin, .note, figcaption, .legend { color: var(--soft); font-size: 14px; }
.origin { margin-bottom: 18px; font-family: ui-monospace, "Liberation Mono", Menlo, monospace; font-size: 13px; }
.state { display: inline-block; margin: 0 0 12px; padding: 1px 11px; border-radius: 999px; font-size: 14px;
  font-weight: 600; border: 1px solid; }
.good { color: #17613a; background: #eaf6ef; } .bad { color: #9a1f1f; background: #fdeeee; }
.busy { color: #12508f; background: #eaf2fb; } .halt { color: #7a4b00; background: #fdf4e3; }
.plots { display: flex; flex-wrap: wrap; gap: 18px 18px; }
figure { margin: 0; break-inside: avoid; max-width: 100%; overflow-x: auto; }
.wide { overflow-x: auto; }
.counts td:not(:last-child), .counts thead th { white-space: nowrap; }
figcaption { margin: 0 0 2px; color: var(--ink); font-weight: 600; }
.key { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 6px; }
.key.line { width: 20px; height: 0; border-radius: 0; border-top: 2px solid; margin: 0 6px 4px 18px; }
.bar { display: flex; height: 30px; margin: 6px 0 14px; border-radius: 4px; overflow: hidden; gap: 1px; }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 8px; }
table { border-collapse: collapse; font-size: 14.5px; line-height: 1.45; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 22px 4px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 500; border-bottom-color: #aeb8c1; }
tbody th { font-weight: 500; } th:first-child { white-space: nowrap; }
.numbers td, .numbers thead th { padding: 4px 0 4px 30px; text-align: right; white-space: nowrap; }
.numbers th:first-child { padding-left: 0; }
h3 { margin: 26px 0 6px; font-size: 16px; }
.snippet { user-select: all; display: inline-block; min-width: min(420px, 100%); margin-bottom: 6px; }
.shares { width: min(720px, 100%); } .shares td:last-child { width: 60%; padding-right: 0; }
.share { height: 14px; margin-top: 3px; border-radius: 2px; background: #2f6db3; }
button { font: inherit; font-size: 14.5px; padding: 4px 12px; border: 1px solid #aeb8c1; border-radius: 5px;
  background: var(--fill); color: var(--link); cursor: pointer; }
details table { margin-top: 8px; }
.unset { color: #8b96a0; }
pre { margin: 8px 0 14px; padding: 11px 14px; background-color: var(--fill); border: 1px solid var(--line);
  border-radius: 5px; font: 13.5px/1.5 ui-monospace, "Liberation Mono", Menlo, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere;
  max-height: 24em; overflow-y: auto; }
pre.bad { background: #fdeeee; border-color: #eec5c5; } pre.halt { background: #fdf4e3; border-color: #e6d3a8; }
details { margin: 14px 0; } summary { cursor: pointer; color: var(--link); font-size: 14.5px; }
progress { width: min(520px, 100%); height: 12px; accent-color: #2b6cb0; }
@media print {
  * { print-color-adjust: exact; }
  body { font-size: 11pt; } .plots { gap: 8px; } .plots figure { zoom: 0.63; }
  figure { overflow: visible; } .wide { zoom: 0.66; overflow: visible; } main { padding: 0; max-width: none; }
  h2 { margin-top: 26px; break-after: avoid; } tr, pre, .bar { break-inside: avoid; }
  pre { max-height: none; } button { display: none; }
}
""")

_AXIS = {
    "axis_line_color": None,
    "major_tick_line_color": FRAME,
    "minor_tick_line_color": None,
    "major_label_text_color": INK,
    "major_label_text_font": FONT,
    "major_label_text_font_size": "12px",
    "axis_label_text_color": INK,
    "axis_label_text_font": FONT,
    "axis_label_text_font_size": "12px",
    "axis_label_text_font_style": "normal",
    "axis_label_standoff": 4,
}
THEME = Theme(
    json={
        "attrs": {
            "Plot": {"background_fill_color": None, "border_fill_color": None, "outline_line_color": FRAME},
            "Axis": _AXIS,
            "Grid": {"grid_line_color": GRID},
            "ColorBar": {"major_label_text_font": FONT, "major_label_text_color": INK, "background_fill_color": None},
            "Toolbar": {"logo": None, "autohide": True},
        },
    },
)
