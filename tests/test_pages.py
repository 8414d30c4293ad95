"""The frame of our pages."""

from __future__ import annotations

from pathlib import Path

from multiclin.pages import write_page


def test_a_page_is_whole_and_may_load_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("an older one", encoding="utf-8")
    write_page(path, "Search: <a&b>", "<p>text</p>", style="p { margin: 0 }", script="let a = 1")
    page = path.read_text(encoding="utf-8")
    assert page.count("Search: &lt;a&amp;b&gt;") == 2  # Of the window, and the heading.
    assert "default-src 'none'" in page
    assert "p { margin: 0 }" in page
    assert "<script>let a = 1</script>" in page
    assert page.endswith("<p>text</p></html>\n")
