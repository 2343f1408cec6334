// How pixels travel here: as half floats, or as JPEG over slow links. A JPEG is of what is shown at an exposure, which
// the server therefore has to know; another one is shown at once with what is there, and asked for when it stays.

const STAYS_MS = 250;

const select = document.getElementById("coding");

export class Coding {
  #send;
  #exposure = 0;
  #timer = null;

  /** send(message) is called when the server has to know. */
  constructor(send) {
    this.#send = send;
    select.addEventListener("change", () => {
      this.#tell();
      select.blur();
    });
  }

  get exact() {
    return select.value === "half";
  }

  /** A server that was just connected sends half floats. */
  opened() {
    if (!this.exact) this.#tell();
  }

  exposed(exposure) {
    if (exposure === this.#exposure) return;
    this.#exposure = exposure;
    clearTimeout(this.#timer);
    if (!this.exact) this.#timer = setTimeout(() => this.#tell(), STAYS_MS);
  }

  #tell() {
    clearTimeout(this.#timer);
    this.#send({ type: "coding", coding: select.value, exposure: this.#exposure });
  }
}
