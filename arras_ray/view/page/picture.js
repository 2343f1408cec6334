// The picture as it is known here: half floats, rows from the bottom up, and how fine each tile has become.

import { TILE } from "./frame.js";
import { halfToFloat } from "./halves.js";

/** The stride of a tile that nothing has come for since the scene changed. */
const NOTHING = 255;

export class Picture {
  width = 0;
  height = 0;
  syncId = null;
  /** Four halves a pixel. */
  halves = new Uint16Array(0);
  /** The stride at which each tile stands, tiles from the bottom left. */
  strides = new Uint8Array(0);
  #words = new Uint32Array(0);
  #changed = [];

  get across() {
    return Math.ceil(this.width / TILE);
  }

  get down() {
    return Math.ceil(this.height / TILE);
  }

  apply({ syncId, width, height, tiles }) {
    if (width !== this.width || height !== this.height) this.#resize(width, height);
    if (syncId !== this.syncId) this.strides.fill(NOTHING);
    this.syncId = syncId;
    for (const tile of tiles) this.#place(tile);
  }

  /** The largest stride of any tile of the scene as it is now; Infinity while some have not come. */
  get coarsest() {
    const largest = this.strides.reduce((a, b) => Math.max(a, b), 0);
    return largest === NOTHING || largest === 0 ? Infinity : largest;
  }

  /** Linear R, G, B, A; x and y count from the bottom left. Null outside. */
  pixel(x, y) {
    if (!(x >= 0 && y >= 0 && x < this.width && y < this.height)) return null;
    const at = (y * this.width + x) * 4;
    return Array.from(this.halves.subarray(at, at + 4), halfToFloat);
  }

  /** Runs of rows [first, end) that changed since the last call. */
  takeChangedRows() {
    const runs = [];
    this.#changed.forEach((changed, row) => {
      if (!changed) return;
      const first = row * TILE;
      const end = Math.min(first + TILE, this.height);
      const last = runs.at(-1);
      if (last?.[1] === first) last[1] = end;
      else runs.push([first, end]);
    });
    this.#changed.fill(false);
    return runs;
  }

  markAllChanged() {
    this.#changed.fill(true);
  }

  #place({ tile, stride, values }) {
    const left = (tile % this.across) * TILE;
    const bottom = Math.floor(tile / this.across) * TILE;
    const right = Math.min(left + TILE, this.width);
    const top = Math.min(bottom + TILE, this.height);
    if (tile < 0 || bottom >= top) throw new Error(`the picture has no tile ${tile}`);
    const words = this.#words;
    const perRow = this.width * 2;
    const valuesPerRow = (TILE / stride) * 2;

    for (let y = bottom, from = 0; y < top; y += stride, from += valuesPerRow) {
      const start = y * perRow + left * 2;
      const end = y * perRow + right * 2;
      if (stride === 1) {
        words.set(values.subarray(from, from + end - start), start);
        continue;
      }
      for (let to = start, step = 0; to < end; to += 2, step++) {
        const value = from + Math.floor(step / stride) * 2;
        words[to] = values[value];
        words[to + 1] = values[value + 1];
      }
      for (let above = 1; above < stride && y + above < top; above++) {
        words.copyWithin(start + above * perRow, start, end);
      }
    }
    this.strides[tile] = stride;
    this.#changed[bottom / TILE] = true;
  }

  /** Another size: what was there is stretched over it, so that nothing goes black until new pixels come. */
  #resize(width, height) {
    const old = { words: this.#words, width: this.width, height: this.height };
    this.width = width;
    this.height = height;
    this.halves = new Uint16Array(width * height * 4);
    this.#words = new Uint32Array(this.halves.buffer);
    this.strides = new Uint8Array(this.across * this.down).fill(NOTHING);
    this.#changed = new Array(this.down).fill(true);
    if (old.width === 0) return;
    for (let y = 0, to = 0; y < height; y++) {
      const oldRow = Math.floor((y * old.height) / height) * old.width;
      for (let x = 0; x < width; x++) {
        const from = (oldRow + Math.floor((x * old.width) / width)) * 2;
        this.#words[to++] = old.words[from];
        this.#words[to++] = old.words[from + 1];
      }
    }
  }
}
