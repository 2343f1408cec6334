// What is said over the picture: an error, a notice that passes, warnings until they are dismissed.

const NOTICE_MS = 6000;

const error = document.getElementById("error");
const notice = document.getElementById("notice");
const warnings = document.getElementById("warnings");
/** What stands there, or stood and was dismissed, by its text. */
const known = new Map();
const errors = new Map();
let timer;

/** Stands until the same source says another, or an empty one. */
export function showError(source, text) {
  if ((errors.get(source) ?? "") === text) return;
  errors.set(source, text);
  error.textContent = [...errors.values()].filter(Boolean).join("\n");
  error.hidden = !error.textContent;
}

export function showNotice(text) {
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (notice.hidden = true), NOTICE_MS);
}

/** All that hold now. One that was dismissed comes back only after it was gone. */
export function showWarnings(texts) {
  for (const [text, item] of known) {
    if (texts.includes(text)) continue;
    item.remove();
    known.delete(text);
  }
  for (const text of texts) {
    if (known.has(text)) continue;
    const item = document.createElement("li");
    const dismiss = document.createElement("button");
    dismiss.type = "button";
    dismiss.textContent = "×";
    dismiss.setAttribute("aria-label", "Dismiss");
    dismiss.addEventListener("click", () => item.remove());
    item.append(text, dismiss);
    known.set(text, item);
    warnings.append(item);
  }
}
