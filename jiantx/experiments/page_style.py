"""How a page of results looks, and what its script does. It has the type of the pictures."""

from __future__ import annotations

from jiantx.report.picture_style import FONTS, SMALL_PIXELS, TEXT_PIXELS, TITLE_PIXELS

_FONT_STACK = ", ".join(f'"{name}"' if " " in name else name for name in FONTS)

STYLE = f"""
:root {{ color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --muted: #63635e;
  --rule: #dededa; --soft: #f4f4f1; --link: #00598a; --up: #01594f; --down: #8a4d05;
  --edge: #0003 }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8e8e4; --paper: #171716;
  --muted: #a9a9a2; --rule: #3c3c39; --soft: #242422; --link: #7cc4ee; --up: #62d0bf;
  --down: #e2ad66; --edge: #fff3 }} }}
* {{ box-sizing: border-box }}
body {{ font: {TEXT_PIXELS}px/1.55 {_FONT_STACK}; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 0 auto; padding: 1rem 1rem 4rem; overflow-wrap: anywhere }}
h1 {{ font-size: 24px; line-height: 1.25; margin: 1rem 0 }}
h2 {{ font-size: 20px; line-height: 1.3; margin: 2.6rem 0 .6rem }}
h3 {{ font-size: {TITLE_PIXELS}px; margin: 1.8rem 0 .4rem }}
p, ul, ol, dl {{ max-width: 44rem; margin: .7rem 0 }}
a {{ color: var(--link) }}
code {{ font: {SMALL_PIXELS}px/1.4 "DejaVu Sans Mono", Menlo, Consolas, monospace;
  background: var(--soft); padding: .1em .3em; border-radius: 3px }}
:focus-visible {{ outline: 3px solid var(--link); outline-offset: 2px }}
.skip {{ position: absolute; left: -999rem }} .skip:focus {{ position: static }}
nav ul {{ list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem }}
.finding {{ border-left: 4px solid var(--link); background: var(--soft);
  padding: .2rem 1rem; max-width: 46rem }}
.facts {{ display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem }}
.facts dt {{ color: var(--muted) }} .facts dd {{ margin: 0 }}
/* a shade at the right says that the table goes on; the paper over it ends where the table ends */
.scroll {{ overflow-x: auto; margin: 1rem 0; background:
  linear-gradient(to left, var(--paper), transparent) right / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--edge), transparent) right / 1rem 100% no-repeat scroll }}
table {{ border-collapse: collapse; font-size: {SMALL_PIXELS}px;
  font-variant-numeric: tabular-nums }}
caption {{ text-align: left; font-weight: bold; font-size: 14px; padding: 0 0 .5rem }}
caption span {{ display: block; position: sticky; left: 0; max-width: min(44rem, 100vw - 2rem) }}
caption.hidden {{ position: absolute; left: -999rem }}
th, td {{ padding: .4em .6em; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; overflow-wrap: normal }}
thead th {{ vertical-align: bottom; border-bottom: 2px solid var(--muted) }}
th:first-child {{ text-align: left; position: sticky; left: 0; background: var(--paper);
  font-weight: normal; max-width: 16rem; white-space: normal }}
thead th:first-child {{ font-weight: bold }}
tbody th, tfoot th {{ min-width: min(10rem, 26vw) }}
.word {{ display: inline-block; max-width: 100% }}
th.text {{ text-align: left }}
td.text {{ text-align: left; white-space: normal; min-width: 9rem }}
tbody.fixed th, tbody.fixed td {{ background: var(--soft) }}
tfoot th, tfoot td {{ border-bottom: 0; border-top: 2px solid var(--muted) }}
td.up {{ color: var(--up); font-weight: bold }} td.down {{ color: var(--down); font-weight: bold }}
td.unproven {{ color: var(--muted) }}
thead button {{ font: inherit; font-weight: bold; color: inherit; background: none; border: 0;
  padding: 0; cursor: pointer; text-align: inherit }}
thead button::after {{ content: "\\2009\\2195"; color: var(--muted); font-weight: normal }}
[aria-sort=descending] button::after {{ content: " \\2193" }}
[aria-sort=ascending] button::after {{ content: " \\2191" }}
figure {{ margin: 1.2rem 0 }}
figure img {{ max-width: 100%; height: auto; display: block; background: #fff; border-radius: 4px }}
.note code {{ font: inherit; background: none; padding: 0; color: var(--ink) }}
figcaption, .note {{ color: var(--muted); font-size: {SMALL_PIXELS}px; max-width: 44rem }}
details {{ margin: 1rem 0; border: 1px solid var(--rule); border-radius: 4px;
  padding: .4rem .8rem }}
summary {{ cursor: pointer; font-weight: bold }}
@media (max-width: 40rem) {{ h1 {{ font-size: 21px }} h2 {{ font-size: 18px }}
  .facts {{ grid-template-columns: 1fr; gap: 0 }} .facts dd {{ margin: 0 0 .6rem }}
  th, td {{ padding: .35em .5em }} th:first-child {{ max-width: 8rem }} }}
@media print {{ :root {{ color-scheme: light; --ink: #000; --paper: #fff; --muted: #444;
  --rule: #bbb; --soft: #f4f4f1; --link: #000; --up: #01594f; --down: #8a4d05 }}
  @page {{ margin: 15mm }} body {{ font-size: 10pt; max-width: none; padding: 0 }}
  nav, .skip {{ display: none }} .scroll {{ overflow: visible }}
  table {{ font-size: 8pt }} th, td {{ padding: .25em .45em }}
  th:first-child {{ position: static }} tbody th, tfoot th {{ min-width: 0 }}
  tfoot {{ display: table-row-group }} thead button::after {{ content: "" }}
  tr, figure, .finding {{ break-inside: avoid }} h2, h3, caption {{ break-after: avoid }}
  figure img {{ max-height: 90vh }} }}
"""

# Headers of columns become buttons that sort. Before printing, all details open, and tables wider
# than paper become smaller.
SCRIPT = """
const number = (row, column) => {
  const text = row.cells[column].textContent.replace(/\\u2212/g, "-").replace(/,/g, "");
  const match = text.match(/^[+-]?\\d+(\\.\\d+)?/);
  return match ? Number(match[0]) : -Infinity;
};
const label = row => row.cells[0].textContent;
for (const body of document.querySelectorAll("tbody.sortable")) {
  const headers = [...body.parentElement.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const descends = column ? header.ariaSort !== "descending" : header.ariaSort === "ascending";
      const compare = column
        ? (a, b) => number(a, column) - number(b, column) || 0
        : (a, b) => label(a).localeCompare(label(b));
      const rows = [...body.rows].sort(compare);
      body.append(...(descends ? rows.reverse() : rows));
      headers.forEach(other => other.removeAttribute("aria-sort"));
      header.ariaSort = descends ? "descending" : "ascending";
    });
  });
}
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach(details => { details.open = true; });
  document.querySelectorAll("table").forEach(table => {
    table.style.zoom = Math.min(1, 900 / table.offsetWidth);
  });
});
addEventListener("afterprint", () => {
  document.querySelectorAll("table").forEach(table => { table.style.zoom = ""; });
});
"""
