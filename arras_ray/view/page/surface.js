// window.arrasView and the event arras-drawn: what tests may read of the page. It is kept stable for them.

export class Surface {
  #frames = 0;
  #syncId = null;
  #coarsest = Infinity;

  constructor({ picture, camera, display, connection, meter }) {
    const drawn = this;
    window.arrasView = Object.freeze({
      /** Frames drawn. */
      get frames() { return drawn.#frames; },
      /** Of the frame drawn last; null before the first. */
      get syncId() { return drawn.#syncId; },
      /** Whether all tiles of the scene as it is now are drawn at this stride or finer. */
      covered: (stride) => drawn.#coarsest <= stride,
      /** Linear [R, G, B, A], from the bottom left; null outside. */
      pixel: (x, y) => picture.pixel(x, y),
      get matrix() { return [...camera.matrix]; },
      /** In stops. */
      get exposure() { return display.exposure; },
      /** A number, or "sRGB". */
      get gamma() { return display.gamma; },
      get channel() { return display.channel; },
      get grid() { return display.grid; },
      /** Received. */
      get bytes() { return connection.bytes; },
      /** The last 100, in ms. */
      get latencies() { return [...meter.latencies]; },
      get connected() { return connection.connected; },
    });
  }

  /** A frame was drawn, and the picture's coarsest tile has now that stride. */
  drew({ frame, syncId }, coarsest, time) {
    this.#frames++;
    this.#syncId = syncId;
    this.#coarsest = coarsest;
    window.dispatchEvent(new CustomEvent("arras-drawn", { detail: { frame, syncId, time } }));
  }
}
