// What this page wants of the scene: the newest value of each thing, numbered, so that a scene which the server tells
// does not take back what it has not heard yet.

export class Wishes {
  #send;
  /** By what they are of. */
  #unsent = new Map();
  /** The number of the newest wish that was sent of each thing and not heard yet. */
  #sent = new Map();
  #number = 0;

  constructor(send) {
    this.#send = send;
  }

  /** Wish something, in place of what was wished of the same thing and is not sent yet. */
  want(of, wish) {
    this.#unsent.set(of, wish);
  }

  get any() {
    return this.#unsent.size > 0;
  }

  send() {
    for (const [of, wish] of this.#unsent) {
      this.#sent.set(of, ++this.#number);
      this.#send({ ...wish, number: this.#number });
    }
    this.#unsent.clear();
  }

  /** The server has heard all up to this number. */
  heard(number) {
    for (const [of, sent] of this.#sent) if (sent <= number) this.#sent.delete(of);
  }

  /** Whether the server does not know yet what is wanted of this. */
  open(of) {
    return this.#unsent.has(of) || this.#sent.has(of);
  }

  /** The connection is gone, and what was wished over it. */
  forget() {
    this.#unsent.clear();
    this.#sent.clear();
  }
}
