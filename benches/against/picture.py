"""The picture of a run: for every case, how far Schur is ahead of XLA, on a logarithmic axis."""

from __future__ import annotations

import html
import math

ROW, LEFT, WIDTH, TOP = 16, 400, 380, 56
COLOURS = ["#2b6cb0", "#90cdf4", "#805ad5", "#d6bcfa"]


def svg(run: dict, statistic: str) -> str:
    threads = run["threads"]
    bars = [
        (name, [result["times"][f"tuned {n}"][statistic] / result["times"][f"schur {n}"][statistic] for n in threads])
        for name, result in run["cases"].items()
    ]
    ratios = [ratio for _, values in bars for ratio in values] + [1.0]
    low, high = math.floor(math.log2(min(ratios))), math.ceil(math.log2(max(ratios)))
    high = max(high, low + 1)
    place = lambda ratio: LEFT + WIDTH * (math.log2(ratio) - low) / (high - low)
    height = TOP + ROW * len(bars) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="18" font-size="13">Time of e3nn_jax + XLA over time of Schur, {statistic}s</text>',
    ]
    for k, count in enumerate(threads):
        parts.append(f'<rect x="{LEFT + 110 * k}" y="8" width="10" height="10" fill="{COLOURS[k % len(COLOURS)]}"/>')
        label = f"{count} thread{'s' if count > 1 else ''}"
        parts.append(f'<text x="{LEFT + 110 * k + 14}" y="17">{label}</text>')
    for power in range(low, high + 1):
        x, stroke = place(2.0**power), "#444" if power == 0 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 8}" stroke="{stroke}"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP - 10}" text-anchor="middle">{2.0**power:g}</text>')
    for row, (name, values) in enumerate(bars):
        y, bar = TOP + ROW * row, (ROW - 4) / len(values)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 10}" text-anchor="end">{html.escape(name)}</text>')
        for k, ratio in enumerate(values):
            left, right = sorted((place(1.0), place(ratio)))
            parts.append(
                f'<rect x="{left:.1f}" y="{y + k * bar:.1f}" width="{right - left:.1f}" height="{bar:.1f}" '
                f'fill="{COLOURS[k % len(COLOURS)]}"><title>{html.escape(name)}: {ratio:.2f}</title></rect>'
            )
        parts.append(f'<text x="{place(max(values + [1.0])) + 4:.1f}" y="{y + 10}">{values[0]:.1f}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"
