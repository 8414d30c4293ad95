"""The frame of every page that we write: one file, offline, light or dark, wide or narrow.

The policy forbids a page to load anything from anywhere, so what it shows can leave the hospital
only as the file itself.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from multiclin.files import atomic_write

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
_STYLE = """
:root { color-scheme: light dark; --ink: #1d1f24; --paper: #fff; --soft: #5c6370; --card: #f4f5f7 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6eb; --paper: #15171c; --soft: #9aa1ad; --card: #22252c }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper) }
h1, h2 { line-height: 1.2 } h2 { margin: 2.5rem 0 .25rem }
p { margin: .25rem 0; color: var(--soft) }
code { font: .875em ui-monospace, monospace }
.wide { overflow-x: auto; background:
  linear-gradient(to right, var(--paper) 2rem, transparent) local,
  linear-gradient(to left, var(--paper) 2rem, transparent) local,
  linear-gradient(to left, #8886, transparent .75rem) scroll } /* a shadow where it goes on */
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid #8884 }
td { overflow-wrap: break-word; max-width: 32rem } td.number { white-space: nowrap }
th { color: var(--soft); font-weight: 600; vertical-align: bottom }
.number { text-align: right }
th:first-child, td:first-child { padding-left: 0 }
"""


def write_page(path: Path, title: str, body: str, *, style: str = "", script: str = "") -> None:
    """Write a page; an older one is replaced.

    Args:
        path: The file.
        title: Of the window, and the heading of the page.
        body: HTML below the heading.
        style: Rules of this page alone.
        script: JavaScript that runs before the body is there.

    Raises:
        OutputError: It cannot be written.
    """
    name = escape(title)
    with atomic_write(path, overwrite=True) as stream:
        stream.write(
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{name}</title><style>{_STYLE}{style}</style>"
            f"<script>{script}</script>\n<h1>{name}</h1>{body}</html>\n"
        )
