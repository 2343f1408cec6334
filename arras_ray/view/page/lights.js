// Choose a light and give it a colour.

import { fromHex, toHex } from "./display.js";

const box = document.getElementById("lights");
const chooser = box.querySelector("select");
const picker = box.querySelector("input");
let lights = [];

/** `changed(name, color)` is called while a colour is dragged, with linear R, G, B. */
export function onLight(changed) {
  picker.addEventListener("input", () => {
    const light = lights[chooser.selectedIndex];
    light.color = fromHex(picker.value);
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
  const here = new Map(lights.map(({ name, color }) => [name, color]));
  lights = all.map(({ name, color }) => ({ name, color: isOpen(name) ? here.get(name) : color }));
  chooser.replaceChildren(...all.map(({ name }) => new Option(name)));
  chooser.selectedIndex = Math.max(0, all.findIndex(({ name }) => name === chosen));
  box.hidden = all.length === 0;
  if (all.length > 0) showColor();
}

function showColor() {
  picker.value = toHex(lights[chooser.selectedIndex].color);
}
