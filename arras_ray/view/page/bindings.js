// Every key, drag and wheel of the page in one table: dispatch looks them up here, and the help is made of it.
//
// input     press: a key going down; hold: a key while it is down; drag, click: mouse buttons; wheel
// key       as KeyboardEvent.key has it, letters in lower case
// buttons   as PointerEvent.buttons has them
// modifiers what has to be down as well, and nothing besides
// during    the act of a hold that turns a drag into this one
// act       what is called, or, of a hold, what is on
// steers    not for those who only watch
// text      what the help says; without it the help leaves the binding out

const LEFT = 1;
const RIGHT = 2;
const MIDDLE = 4;

const view = (input, more, act, text) => ({ group: "View", input, modifiers: "", ...more, act, text });
const camera = (input, more, act, text) => ({ ...view(input, more, act, text), group: "Camera", steers: true });
const page = (key, act, text) => ({ group: "Page", input: "press", modifiers: "", key, act, text });

/** Of two that fit, the first one counts. */
export const BINDINGS = [
  view("drag", { buttons: LEFT, during: "exposing" }, "dragExposure", "exposure, by a drag to the side"),
  view("drag", { buttons: LEFT, during: "bending" }, "dragGamma", "gamma, by a drag to the side"),
  camera("drag", { buttons: LEFT, modifiers: "Alt+" }, "orbit", "orbit about the pivot"),
  camera("drag", { buttons: MIDDLE, modifiers: "Alt+" }, "pan", "pan"),
  camera("drag", { buttons: RIGHT, modifiers: "Alt+" }, "dolly", "dolly"),
  camera("drag", { buttons: LEFT | RIGHT, modifiers: "Alt+" }, "roll", "roll"),
  camera("drag", { buttons: LEFT }, "turn", "orbit; in the free camera look around"),
  camera("drag", { buttons: MIDDLE }, "pan", "pan"),
  camera("drag", { buttons: RIGHT }, "dolly", "dolly"),
  camera("wheel", { modifiers: "Alt+" }, "wheelDolly", "dolly"),
  camera("click", { buttons: LEFT, modifiers: "Ctrl+" }, "refocus", "put the pivot under the pointer"),
  camera("press", { key: "f" }, "recentre", "turn to the scene's centre, make it the pivot"),
  camera("press", { key: "f", modifiers: "Shift+" }, "frame", "step back until all of the scene is seen"),
  camera("press", { key: "o" }, "toggleCamera", "orbit or free camera"),
  camera("hold", { key: "w" }, "forward", "forward"),
  camera("hold", { key: "s" }, "back", "back"),
  camera("hold", { key: "a" }, "left", "left"),
  camera("hold", { key: "d" }, "right", "right"),
  camera("hold", { key: " " }, "up", "up"),
  camera("hold", { key: "c" }, "down", "down"),
  camera("press", { key: "q" }, "slower", "half the speed"),
  camera("press", { key: "e" }, "faster", "twice the speed"),
  camera("press", { key: "r" }, "reset", "back to the first camera"),
  camera("press", { key: "u" }, "upright", "remove the roll"),

  view("press", { key: "`" }, "showRgb", "RGB"),
  view("press", { key: "1" }, "showRed", "red"),
  view("press", { key: "2" }, "showGreen", "green"),
  view("press", { key: "3" }, "showBlue", "blue"),
  view("press", { key: "4" }, "showAlpha", "alpha"),
  view("press", { key: "5" }, "showLuminance", "luminance"),
  view("press", { key: "7" }, "showNormalised", "normalised RGB"),
  view("hold", { key: "x" }, "exposing"),
  view("hold", { key: "y" }, "bending"),
  view("press", { key: "arrowup", modifiers: "Shift+" }, "brighter", "one stop more"),
  view("press", { key: "arrowdown", modifiers: "Shift+" }, "darker", "one stop less"),
  view("press", { key: "x", modifiers: "Shift+" }, "resetExposure", "exposure 0"),
  view("press", { key: "y", modifiers: "Shift+" }, "resetGamma", "the sRGB curve"),
  view("wheel", {}, "zoom", "zoom about the pointer"),
  view("drag", { buttons: MIDDLE, modifiers: "Shift+" }, "movePicture", "move the picture"),
  view("drag", { buttons: LEFT, modifiers: "Shift+" }, "movePicture", "move the picture"),
  view("press", { key: "=" }, "fit", "fit the picture to the window"),

  page("i", "toggleInspector", "pixel inspector"),
  page("p", "toggleGrid", "outline tiles that are still coarse"),
  page("k", "snapshot", "save what is shown as PNG"),
  page("t", "printCamera", "the camera as RDLA"),
  page("m", "toggleMachines", "machines"),
  page("h", "toggleHelp", "this help"),
  page("escape", "closePanels", "close panels"),
];

const KEY_NAMES = { " ": "Space", arrowup: "Arrow up", arrowdown: "Arrow down", escape: "Escape" };
const BUTTON_NAMES = { [LEFT]: "left", [RIGHT]: "right", [MIDDLE]: "middle", [LEFT | RIGHT]: "left and right" };

/** How a binding is written in the help. */
export function label({ input, key, buttons, modifiers, during }) {
  const held = during ? BINDINGS.find((one) => one.act === during).key + " + " : modifiers.replaceAll("+", " + ");
  if (input === "wheel") return `${held}wheel`;
  if (key !== undefined) return held + (KEY_NAMES[key] ?? key);
  return `${held}${BUTTON_NAMES[buttons]} ${input}`;
}

export function findKey(event) {
  const key = keyOf(event);
  // Whether a sign needs Shift differs from keyboard to keyboard.
  const modifiers = /^[^a-z]$/.test(key) ? modifiersOf(event).replace("Shift+", "") : modifiersOf(event);
  return BINDINGS.find((one) => one.key === key && one.modifiers === modifiers);
}

/** `held` has the acts of the keys that are down. */
export function findDrag(event, held) {
  return BINDINGS.find(
    ({ buttons, modifiers, during }) =>
      buttons === event.buttons && modifiers === modifiersOf(event) && (!during || held.has(during)),
  );
}

export function findWheel(event) {
  return BINDINGS.find((one) => one.input === "wheel" && one.modifiers === modifiersOf(event));
}

function keyOf({ key, code }) {
  // On some keyboards the backquote waits for a letter to stand on.
  return key === "Dead" && code === "Backquote" ? "`" : key.toLowerCase();
}

function modifiersOf({ ctrlKey, altKey, shiftKey, metaKey }) {
  return (metaKey ? "Meta+" : "") + (ctrlKey ? "Ctrl+" : "") + (altKey ? "Alt+" : "") + (shiftKey ? "Shift+" : "");
}
