// Choose a light and give it a colour. One that is brighter than a screen's stays as many times brighter.

import { fromHex, toHex } from "./display.js";
import { same } from "./matrix.js";

const box = document.getElementById("lights");
const chooser = box.querySelector("select");
const picker = box.querySelector("input");
let lights = [];

/** `changed(name, color)` is called while a colour is dragged, with linear R, G, B. */
export function onLight(changed) {
  picker.addEventListener("input", () => {
    const light = lights[chooser.selectedIndex];
    light.color = fromHex(picker.value).map((value) => Math.fround(value * light.gain));
    changed(light.name, light.color);
  });
  chooser.addEventListener("change", () => {
    showColor();
    chooser.blur();
  });
}

/** The lights of the scene; the one that was chosen stays so. isOpen(name): its colour here is newer. */
export function showLights(all, isOpen) {
  const chosen = chooser.value;
  const here = new Map(lights.map((light) => [light.name, light]));
  lights = all.map(({ name, color }) => (isOpen(name) ? here.get(name) : withGain(name, color, here.get(name))));
  chooser.replaceChildren(...all.map(({ name }) => new Option(name)));
  chooser.selectedIndex = Math.max(0, all.findIndex(({ name }) => name === chosen));
  box.hidden = all.length === 0;
  if (all.length > 0) showColor();
}

/** gain: what its largest part is above 1. A colour that was chosen here keeps the gain that it was chosen with. */
function withGain(name, color, before) {
  if (before && same(before.color, color)) return before;
  return { name, color, gain: Math.max(1, ...color) };
}

function showColor() {
  const { color, gain } = lights[chooser.selectedIndex];
  picker.value = toHex(color.map((value) => value / gain));
}
