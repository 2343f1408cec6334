// What the page measures of itself.

const KEPT = 100;
/** An edit that no frame has answered for so long, as while paused, is given up for a newer one. */
const GIVEN_UP = 10000;

/** From sending an edit to the draw of the first frame of a scene newer than any seen when it was sent. */
export class LatencyMeter {
  /** The newest ones, in ms. */
  latencies = [];
  #newest = -Infinity;
  #waiting = null;

  received(syncId) {
    this.#newest = Math.max(this.#newest, syncId);
  }

  /** Edits that follow while one waits are not timed: the frame that answers it may hold them or not. */
  sent(now) {
    if (this.#waiting && now - this.#waiting.at < GIVEN_UP) return;
    this.#waiting = { at: now, newest: this.#newest };
  }

  drawn(syncId, now) {
    if (!this.#waiting || syncId <= this.#waiting.newest) return;
    this.latencies.push(now - this.#waiting.at);
    this.latencies.splice(0, this.latencies.length - KEPT);
    this.#waiting = null;
  }

  /** Another server may count anew. */
  restart() {
    this.#newest = -Infinity;
    this.#waiting = null;
  }
}

/** How many frames were drawn in the last second. */
export class FrameRate {
  static MS = 1000;
  #times = [];

  drawn(now) {
    this.#times.push(now);
  }

  at(now) {
    this.#times = this.#times.filter((time) => now - time < FrameRate.MS);
    return this.#times.length;
  }
}
