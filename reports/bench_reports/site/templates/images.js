"use strict";
// Which row of each sheet is seen: that of the class that was chosen.
for (const gallery of document.querySelectorAll(".gallery")) {
  const select = gallery.querySelector("select");
  select.addEventListener("change", () => gallery.style.setProperty("--row", select.value));
  gallery.style.setProperty("--row", select.value); // a browser keeps the choice of a page that is loaded again
}
