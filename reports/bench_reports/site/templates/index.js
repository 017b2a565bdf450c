"use strict";
// Sorting within a ranking, never across; choices stand in the address, so that a view can be sent to somebody.
for (const table of document.querySelectorAll("table")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => sort(table, head, column));
  });
}

function sort(table, head, column) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map(row => [row, row.cells[column]]);
  rows.sort(([, one], [, other]) => compare(one, other, down ? -1 : 1));
  body.append(...rows.map(([row]) => row));
}

// What is not known comes last, whichever way.
function compare(one, other, sign) {
  const known = [one, other].map(cell => cell.textContent !== "\u2013");
  if (!known[0] || !known[1]) return known[1] - known[0];
  const numbers = [one, other].map(cell => cell.dataset.n);
  if (numbers.every(number => number !== undefined)) return sign * (numbers[0] - numbers[1]);
  return sign * one.textContent.localeCompare(other.textContent, undefined, { numeric: true });
}

const form = document.getElementById("filters");
if (form) {
  const selects = [...form.querySelectorAll("select")];
  const sections = [...document.querySelectorAll("section.ranking")];
  form.hidden = false;
  form.addEventListener("change", chosen);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(chosen));
  window.addEventListener("hashchange", restore);
  restore();

  function chosen() {
    const wanted = new URLSearchParams();
    for (const select of selects) if (select.value) wanted.set(select.name, select.value.slice(1));
    history.replaceState(null, "", `#${wanted}`);
    apply();
  }

  function restore() {
    const hash = location.hash.slice(1);
    const wanted = new URLSearchParams(hash.includes("=") ? hash : "");
    for (const select of selects) {
      const value = `=${wanted.get(select.name)}`;
      select.value = [...select.options].some(option => option.value === value) ? value : "";
    }
    apply();
  }

  function apply() {
    const wanted = selects.filter(select => select.value).map(select => [`data-${select.name}`, select.value.slice(1)]);
    let shown = 0;
    for (const section of sections) {
      const here = wanted.filter(([name]) => section.hasAttribute(name));
      const fits = here.every(([name, value]) => section.getAttribute(name) === value);
      const rest = wanted.filter(([name]) => !section.hasAttribute(name));
      let rows = 0;
      for (const row of section.querySelectorAll("tbody tr")) {
        row.hidden = !(fits && rest.every(([name, value]) => row.getAttribute(name) === value));
        if (!row.hidden) rows += 1;
      }
      section.hidden = rows === 0;
      shown += rows;
    }
    document.getElementById("count").textContent = `${shown} ${shown === 1 ? "row" : "rows"} shown`;
    document.getElementById("nothing").hidden = shown > 0;
  }
}
