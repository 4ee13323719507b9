"""The chart: a panel for each operation, a bar for each server, as SVG written by hand."""

from html import escape

from .report import SERVERS, number

# (panel's title, workload, connections, place, durability)
PANELS = (
    ("Point read by _id, 8 connections", "read", 8, "apart", None),
    ("Point read by _id, 32 connections", "read", 32, "apart", None),
    ("Index equality, 10 documents, 8 conn.", "equal", 8, "apart", None),
    ("Indexed range + sort + limit 20, 8 conn.", "range", 8, "apart", None),
    ("Durable update, 1 connection", "update", 1, "alike", "full"),
    ("Durable update, 32 connections", "update", 32, "apart", "full"),
    ("YCSB A, durable, 32 connections", "ycsb-a", 32, "apart", "full"),
    ("YCSB B, durable, 32 connections", "ycsb-b", 32, "apart", "full"),
    ("Bulk load, two indexes, documents/s", "load", 1, "apart", None),
    ("Load, then build indexes, documents/s", "load-then-index", 1, "apart", None),
    ("Count, unindexed filter", "count", 1, "free", None),
    ("Group by status over all", "group", 1, "free", None),
)
COLOURS = {"ping": "#c3c9d1", "redis": "#e2896f", "postgres": "#6d9bc9", "secantus": "#a58bc4",
           "roost": "#2f9e6e"}
WIDTH, COLUMNS, MARGIN, GAP = 960, 2, 28, 28
BAR, SPACE, TITLE = 17, 6, 30
LABELS, VALUES = 84, 78  # room beside the bars for names and numbers
HEAD = 78


def panel_bars(results, panel):
    _, workload, connections, place, durability = panel
    bars = []
    for name, label in SERVERS:
        rate = results.rate(name, workload, connections, place, durability)
        if rate:
            bars.append((name, label, rate))
    return bars


def draw_panel(x, y, width, title, bars):
    parts = [f'<text x="{x}" y="{y + 14}" class="title">{escape(title)}</text>']
    longest = max(rate for _, _, rate in bars)
    room = width - LABELS - VALUES
    for i, (name, label, rate) in enumerate(bars):
        top = y + TITLE + i * (BAR + SPACE)
        length = max(1.5, room * rate / longest)
        middle = top + BAR / 2 + 4
        strong = ' class="roost"' if name == "roost" else ""
        parts += [
            f'<text x="{x + LABELS - 8}" y="{middle}" text-anchor="end"{strong}>{escape(label)}'
            "</text>",
            f'<rect x="{x + LABELS}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" '
            f'fill="{COLOURS[name]}"/>',
            f'<text x="{x + LABELS + length + 6:.1f}" y="{middle}"{strong}>{number(rate)}</text>',
        ]
    return parts


def svg(results, subtitle):
    """The whole chart; panels without a measurement are left out."""
    drawn = [(panel[0], bars) for panel in PANELS if (bars := panel_bars(results, panel))]
    width = (WIDTH - 2 * MARGIN - GAP * (COLUMNS - 1)) / COLUMNS
    body, y = [], HEAD
    for row in range(0, len(drawn), COLUMNS):
        panels = drawn[row:row + COLUMNS]
        for column, (title, bars) in enumerate(panels):
            body += draw_panel(MARGIN + column * (width + GAP), y, width, title, bars)
        y += TITLE + max(len(bars) for _, bars in panels) * (BAR + SPACE) + 22
    style = ("text{font:12px system-ui,sans-serif;fill:#3b4350}.title{font-weight:600;"
             "font-size:13px;fill:#1d232b}.head{font-weight:700;font-size:18px;fill:#1d232b}"
             ".sub{fill:#6b7480}.roost{font-weight:700;fill:#1d6b4a}")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        f'height="{y}" role="img" aria-label="Operations a second of Roost and its peers">',
        f"<style>{style}</style>",
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>',
        f'<text x="{MARGIN}" y="36" class="head">Operations a second, more is better</text>',
        f'<text x="{MARGIN}" y="56" class="sub">{escape(subtitle)}</text>',
        *body, "</svg>", ""])
