// The socket to the server: kept open, opened again when it closes.

const FIRST_DELAY = 500;
const LONGEST_DELAY = 8000;
/** The server's close code for a viewer whose link it does not take. */
const NOT_ALLOWED = 4401;
/** Its close code at the end of the view; the reason is what went wrong, if anything did. */
const ENDED = 4410;
/** This page's close code for frames it cannot read. */
const UNREADABLE = 4400;

export class Connection {
  bytes = 0;
  #url;
  #on;
  #socket = null;
  #delay = FIRST_DELAY;

  /**
   * on: `opened()`, `text(message)`, `frame(buffer)`, which throws, or returns a promise that fails, if it cannot read
   * it, `unreadable(error)`, `closed(seconds)` until the next try, `ended(reason)`, `notAllowed()`.
   */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
  }

  open() {
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#on.opened();
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket = socket;
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Connected, and all that was sent has left: what comes next does not queue up behind it. */
  get idle() {
    return this.connected && this.#socket.bufferedAmount === 0;
  }

  send(message) {
    if (this.connected) this.#socket.send(JSON.stringify(message));
  }

  async #receive(socket, data) {
    if (typeof data === "string") {
      this.bytes += new Blob([data]).size;
      // Only a server that speaks is one that is back.
      this.#delay = FIRST_DELAY;
      this.#on.text(JSON.parse(data));
      return;
    }
    this.bytes += data.byteLength;
    try {
      await this.#on.frame(data);
    } catch (error) {
      this.#on.unreadable(error);
      socket.close(UNREADABLE, "unreadable frame");
    }
  }

  #closed(code, reason) {
    if (code === ENDED) {
      this.#on.ended(reason);
      return;
    }
    if (code === NOT_ALLOWED) {
      this.#on.notAllowed();
      return;
    }
    this.#on.closed(this.#delay / 1000);
    setTimeout(() => this.open(), this.#delay);
    this.#delay = Math.min(LONGEST_DELAY, this.#delay * 2);
  }
}
