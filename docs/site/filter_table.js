// A field above each long table of a page: it shows the rows that hold all words typed into it.
document$.subscribe(() => {
  document.querySelectorAll(".md-typeset table:not([class])").forEach((table) => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 30) return;
    const field = document.createElement("input");
    field.type = "search";
    field.className = "table-filter";
    field.placeholder = `Search ${rows.length} rows: words of any column`;
    field.setAttribute("aria-label", "Search this table");
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      });
    });
    (table.closest(".md-typeset__scrollwrap") || table).before(field);
  });
});
