"""The page of a store's quality: a picture of what is covered, a day a cell, and what was found."""

from collections.abc import Sequence
from html import escape

from passivbot.market.quality import MarketReport, day_shares
from passivbot.times import DAY_MS, utc

_PLOTLY = {"displaylogo": False, "showSendToCloud": False, "plotlyServerURL": "", "responsive": True}
_SCALE = [[0.0, "#b2182b"], [0.5, "#ef8a62"], [0.98, "#fddbc7"], [0.999, "#92c5de"], [1.0, "#2166ac"]]
"""Colours of the share of a day's minutes: nothing red, all of them blue, and a step just below all."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem;
  color: #1a1a1a; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; }
p { color: #555; margin-top: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.findings { text-align: left; white-space: normal; color: #b2182b; }
th.findings { text-align: left; }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e6e6e6; } p { color: #aaa; } th, td { border-color: #333; }
  td.findings { color: #f4a582; } .picture { background: #fff; border-radius: 6px; }
}
"""


def page(reports: Sequence[MarketReport], root: str) -> str:
    """Return the HTML text of a page; it needs no network.

    Parameters
    ----------
    reports
        From :func:`passivbot.market.quality.check`.
    root
        Where the store lies, for the title.
    """
    wrong = sum(bool(report.findings) for report in reports)
    candles = sum(report.rows for report in reports)
    title = f"Candles of {escape(root)}"
    summary = f"{len(reports)} markets, {candles:,} candles; {wrong or 'none'} with something to look at"
    rows = "\n".join(map(_row, reports))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{_STYLE}</style></head>
<body><h1>{title}</h1><p>{summary}. Times are UTC.</p>
<div class="picture">{_picture(reports)}</div>
<div class="scroll"><table><thead><tr><th>market</th><th>first</th><th>last</th><th>candles</th>
<th>coverage</th><th>absent</th><th>idle</th><th class="findings">to look at</th></tr></thead><tbody>
{rows}
</tbody></table></div>
<p>coverage: share of the minutes from the first to the last candle; absent: minutes that the exchange does
not have; idle: candles without volume.</p></body></html>
"""


def _row(report: MarketReport) -> str:
    cells = [
        escape(f"{report.exchange} {report.coin}"),
        utc(report.first_ms) if report.rows else "",
        utc(report.last_ms) if report.rows else "",
        f"{report.rows:,}",
        f"{report.coverage:.3%}" if report.rows else "",
        f"{report.absent:,}",
        f"{report.idle:,}",
    ]
    findings = "<br>".join(map(escape, (*report.findings, *(f"repaired: {line}" for line in report.repairs))))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}<td class='findings'>{findings}</td></tr>"


def _picture(reports: Sequence[MarketReport]) -> str:
    """Return the picture as HTML: a row per market, a column per day, coloured by its share of minutes."""
    import numpy as np
    import plotly.graph_objects as go

    known = [report for report in reports if report.fetched]
    if not known:
        return ""
    first = min(report.fetched[0].begin_ms for report in known) // DAY_MS * DAY_MS
    last = max(report.fetched[-1].end_ms for report in known)
    days = list(range(first, last, DAY_MS))
    names = [f"{report.exchange} {report.coin}" for report in reports]
    figure = go.Figure(
        go.Heatmap(
            x=np.array(days, dtype="datetime64[ms]"),
            y=names,
            z=[day_shares(report, days) for report in reports],
            zmin=0.0,
            zmax=1.0,
            colorscale=_SCALE,
            colorbar={
                "title": "minutes",
                "tickformat": ".0%",
                "len": 240,
                "lenmode": "pixels",
                "y": 1,
                "yanchor": "top",
            },
            hovertemplate="%{y}<br>%{x|%Y-%m-%d}<br>%{z:.2%} of its minutes<extra></extra>",
            ygap=2,
        )
    )
    figure.update_layout(
        template="plotly_white",
        height=120 + 22 * max(len(reports), 3),
        margin={"l": 110, "r": 20, "t": 50, "b": 20},
        xaxis={"type": "date", "side": "top"},
        yaxis={"autorange": "reversed", "type": "category"},
        plot_bgcolor="#f2f2f2",
    )
    text: str = figure.to_html(full_html=False, include_plotlyjs=True, config=_PLOTLY)
    return text
