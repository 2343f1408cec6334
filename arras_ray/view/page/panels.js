// The panels that come and go: help, machines, the camera's text, the pixel inspector.

import { BINDINGS, label } from "./bindings.js";
import { short } from "./bar.js";

const panels = document.getElementsByClassName("panel");
const machines = document.getElementById("machines");
const help = document.getElementById("help");
const cameraText = document.getElementById("camera-text");
const inspector = document.getElementById("inspector");

const UNKNOWN = "–";

/** They lie in the same place. */
const ALTERNATIVES = [machines, help, cameraText];

function toggle(panel, hidden = !panel.hidden) {
  for (const one of ALTERNATIVES) one.hidden = one !== panel || hidden;
}

export const toggleMachines = () => toggle(machines);

export function closePanels() {
  for (const panel of panels) panel.hidden = true;
}

/** The table of bindings, for a watcher without what steers. */
export function toggleHelp(maySteer) {
  const all = BINDINGS.filter((one) => one.text && (maySteer || !one.steers));
  const groups = new Set(all.map((one) => one.group));
  help.replaceChildren(...[...groups].map((group) => helpTable(group, all.filter((one) => one.group === group))));
  toggle(help);
}

function helpTable(group, bindings) {
  const table = document.createElement("table");
  table.createCaption().textContent = group;
  for (const binding of bindings) {
    const row = table.insertRow();
    const key = document.createElement("kbd");
    key.textContent = label(binding) + (binding.input === "hold" ? ", held" : "");
    row.insertCell().append(key);
    row.insertCell().textContent = binding.text;
  }
  return table;
}

export function showMachines(mcrts) {
  const all = mcrts.reduce((sum, { samples }) => sum + samples, 0);
  const rows = mcrts.map((mcrt) => {
    const row = document.createElement("tr");
    row.classList.toggle("lost", mcrt.state === "lost");
    const cells = [
      mcrt.name,
      mcrt.node,
      mcrt.state,
      mcrt.threads,
      mcrt.cpu === null ? UNKNOWN : `${mcrt.cpu.toFixed(0)} %`,
      mcrt.memory === null ? UNKNOWN : `${short(mcrt.memory)}B`,
      mcrt.open_leases,
      short(mcrt.rate),
      all > 0 ? `${((100 * mcrt.samples) / all).toFixed(1)} %` : UNKNOWN,
      mcrt.latency_ms === null ? UNKNOWN : `${mcrt.latency_ms.toFixed(0)} ms`,
    ];
    for (const text of cells) row.insertCell().textContent = text;
    return row;
  });
  machines.querySelector("tbody").replaceChildren(...rows);
}

export function showCameraText(text) {
  cameraText.querySelector("textarea").value = text;
  toggle(cameraText, false);
  copy();
}

/** The clipboard is there for secure pages only: elsewhere the text is selected, to be copied by hand. */
async function copy() {
  const area = cameraText.querySelector("textarea");
  try {
    await navigator.clipboard.writeText(area.value);
  } catch {
    area.focus();
    area.select();
  }
}

cameraText.querySelector("button").addEventListener("click", copy);

export function toggleInspector() {
  inspector.hidden = !inspector.hidden;
  if (!inspector.textContent) inspector.textContent = "point at a pixel";
}

/** `values` are linear R, G, B, A at (x, y) from the picture's bottom left; null outside of it. Unless they are `exact`
 * they came as JPEG. */
export function showPixel(x, y, values, exact) {
  if (inspector.hidden) return;
  const place = `x ${x}  y ${y}${exact ? "" : "  about"}`;
  inspector.textContent = values
    ? `${place}   ${values.map((value, i) => `${"RGBA"[i]} ${value.toPrecision(4)}`).join("  ")}`
    : "no pixel here";
}
