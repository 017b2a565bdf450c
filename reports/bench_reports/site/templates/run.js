"use strict";
for (const block of document.querySelectorAll("pre.copy")) {
  const code = block.querySelector("code");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "copy";
  button.addEventListener("click", () => copy(code, button));
  block.append(button);
}

// Where the browser does not let a page write to the clipboard, the text is selected for the reader to copy.
async function copy(code, button) {
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "copied";
  } catch {
    button.textContent = "selected";
  }
}
