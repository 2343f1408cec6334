// Where the picture lies in the window: fitted, or zoomed and moved. Lengths are device pixels, y down.

const SMALLEST = 1 / 16;
const LARGEST = 64;

const within = (zoom) => Math.min(LARGEST, Math.max(SMALLEST, zoom));

export class Viewport {
  #window = [1, 1];
  #picture = [1, 1];
  #natural = 1;
  /** Null while the picture is fitted to the window. */
  #zoom = null;
  /** The picture's middle against the window's. */
  #shift = [0, 0];

  setWindow(width, height) {
    this.#window = [Math.max(1, width), Math.max(1, height)];
  }

  /** A picture of lower resolution than the scene's covers the same place with larger pixels. */
  setPicture(width, height, sceneWidth) {
    if (this.#zoom !== null) this.#zoom = within(this.#zoom * (this.#picture[0] / width));
    this.#picture = [width, height];
    this.#natural = Math.max(1, sceneWidth / width);
  }

  /** Device pixels for a pixel of the picture. */
  get scale() {
    return this.#zoom ?? Math.min(this.#natural, ...[0, 1].map((i) => this.#window[i] / this.#picture[i]));
  }

  /** Whole pixels at its corner, so that nothing is resampled at 100 %. */
  get rectangle() {
    const [width, height] = this.#picture.map((size) => size * this.scale);
    return {
      left: Math.round((this.#window[0] - width) / 2 + this.#shift[0]),
      top: Math.round((this.#window[1] - height) / 2 + this.#shift[1]),
      width,
      height,
    };
  }

  fit() {
    this.#zoom = null;
    this.#shift = [0, 0];
  }

  /** What lies under (x, y) stays there. */
  zoomAt(factor, x, y) {
    const before = this.scale;
    this.#zoom = within(before * factor);
    const grown = this.#zoom / before;
    [x, y].forEach((at, i) => {
      const fromMiddle = at - this.#window[i] / 2;
      this.#shift[i] = fromMiddle - (fromMiddle - this.#shift[i]) * grown;
    });
  }

  move(dx, dy) {
    // A moved picture keeps its size when the window changes.
    this.#zoom = this.scale;
    this.#shift = [this.#shift[0] + dx, this.#shift[1] + dy];
  }

  /** The place in the picture under a point of the window, in its pixels from its bottom left. */
  toPicture(x, y) {
    const { left, top, height } = this.rectangle;
    return [(x - left) / this.scale, (top + height - y) / this.scale];
  }
}
