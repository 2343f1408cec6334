// Turns what mouse and keyboard do over the picture into acts of the bindings' table.

import { findDrag, findKey, findWheel } from "./bindings.js";

const LINE_HEIGHT = 16;
const PAGE_HEIGHT = 400;

export class Navigation {
  #on;
  /** The acts of the keys that are down, by the key's place: its letter changes with Shift. */
  #down = new Map();
  #buttons = 0;
  #drag = null;
  #last = [0, 0];
  /** Where the pointer is over the picture, in CSS pixels; null elsewhere. */
  pointer = null;

  /**
   * on: `act(binding, detail)`, detail of drags {x, y, dx, dy}, of clicks {x, y}, of wheels {x, y, amount}, in CSS
   * pixels; `held()` when a key is held; `pointed()` when the pointer has moved; `maySteer()`.
   */
  constructor(canvas, on) {
    this.#on = on;
    const listen = (target, type, handle) => target.addEventListener(type, handle, { passive: false });

    listen(canvas, "pointerdown", (event) => this.#pointerDown(canvas, event));
    listen(canvas, "pointermove", (event) => this.#pointerMove(event));
    listen(canvas, "pointerup", (event) => this.#chooseDrag(event));
    listen(canvas, "pointercancel", () => this.#release());
    listen(canvas, "pointerleave", () => (this.pointer = null));
    listen(canvas, "wheel", (event) => this.#wheel(event));
    listen(canvas, "contextmenu", (event) => event.preventDefault());
    listen(window, "keydown", (event) => this.#keyDown(event));
    listen(window, "keyup", (event) => this.#down.delete(event.code));
    listen(window, "blur", () => this.#release());
  }

  /** Where the held keys fly to: -1, 0 or 1 along the camera's x, y and z axis; null for nowhere. */
  get flight() {
    const held = new Set(this.#down.values());
    const between = (less, more) => held.has(more) - held.has(less);
    const axes = [between("left", "right"), between("down", "up"), between("forward", "back")];
    return axes.some(Boolean) ? axes : null;
  }

  #allowed(binding) {
    return binding !== undefined && (!binding.steers || this.#on.maySteer());
  }

  #release() {
    this.#down.clear();
    this.#drag = null;
    this.#buttons = 0;
  }

  #pointerDown(canvas, event) {
    // Keeps the middle button from scrolling; a field that had the keyboard gives it back.
    event.preventDefault();
    document.activeElement?.blur();
    canvas.setPointerCapture(event.pointerId);
    this.#chooseDrag(event);
  }

  /** A second button makes another drag of it. One that goes up ends it, so that letting go of two does not jerk. */
  #chooseDrag(event) {
    const more = (event.buttons & ~this.#buttons) !== 0;
    this.#buttons = event.buttons;
    this.#last = [event.offsetX, event.offsetY];
    this.#drag = null;
    if (!more) return;
    const binding = findDrag(event, new Set(this.#down.values()));
    if (!this.#allowed(binding)) return;
    if (binding.input === "click") this.#on.act(binding, { x: event.offsetX, y: event.offsetY });
    else this.#drag = binding;
  }

  #pointerMove(event) {
    const { offsetX: x, offsetY: y } = event;
    this.pointer = [x, y];
    this.#on.pointed();
    // Further buttons of a mouse come as moves.
    if (event.buttons !== this.#buttons) this.#chooseDrag(event);
    if (this.#drag === null) return;
    const [dx, dy] = [x - this.#last[0], y - this.#last[1]];
    this.#last = [x, y];
    this.#on.act(this.#drag, { x, y, dx, dy });
  }

  #wheel(event) {
    const binding = findWheel(event);
    if (!this.#allowed(binding)) return;
    event.preventDefault();
    const unit = [1, LINE_HEIGHT, PAGE_HEIGHT][event.deltaMode];
    // Away from the user is more: nearer or larger.
    this.#on.act(binding, { x: event.offsetX, y: event.offsetY, amount: -event.deltaY * unit });
  }

  #keyDown(event) {
    // Alt alone would hand the keyboard to the browser's menu.
    if (event.key === "Alt") event.preventDefault();
    const binding = findKey(event);
    if (!this.#allowed(binding)) return;
    if (event.target.closest?.("input, select, textarea, button") && binding.act !== "closePanels") return;
    event.preventDefault();
    if (event.repeat) return;
    if (binding.input === "press") {
      this.#on.act(binding);
    } else {
      this.#down.set(event.code, binding.act);
      this.#on.held();
    }
  }
}
