// Reads a frame: uint32 length of a JSON header, the header, then the pixels of each group of tiles.

import { decodeSheet } from "./jpeg.js";

export const TILE = 64;
const CHANNELS = 4;
const decoder = new TextDecoder();

/** Hands on frames in the order in which they come: {frame, syncId, width, height, tiles}, each tile {tile, stride,
 * values}, values its half floats, two in a word. */
export class FrameReader {
  #take;
  #decoding = null;
  #connection = 0;

  constructor(take) {
    this.#take = take;
  }

  /** Frames of half floats are handed on at once; of others, and those behind them, a promise is returned. */
  read(buffer) {
    const [header, pixels] = open(buffer);
    const frame = header.jpeg ? decodeJpeg(header, pixels) : decodeHalfFloats(header, pixels);
    if (this.#decoding === null && !header.jpeg) {
      this.#take(frame);
      return null;
    }
    const connection = this.#connection;
    const decoding = Promise.all([frame, this.#decoding]).then(([decoded]) => {
      if (this.#decoding === decoding) this.#decoding = null;
      if (connection === this.#connection) this.#take(decoded);
    });
    this.#decoding = decoding;
    return decoding;
  }

  /** Frames that are not handed on yet are those of a connection that is gone. */
  forget() {
    this.#connection++;
    this.#decoding = null;
  }
}

function open(buffer) {
  const headerEnd = buffer.byteLength < 4 ? 0 : 4 + new DataView(buffer).getUint32(0, true);
  if (headerEnd < 4 || headerEnd > buffer.byteLength || headerEnd % 8) throw new Error("a frame without a header");
  const header = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, headerEnd - 4)));
  return [header, new Pixels(buffer, headerEnd)];
}

const known = ({ frame, sync_id: syncId, width, height }, tiles) => ({ frame, syncId, width, height, tiles });

/** The values look into the message itself. */
function decodeHalfFloats(header, pixels) {
  const tiles = [];
  for (const { stride, tiles: numbers } of header.groups) {
    const bytes = (TILE / stride) ** 2 * CHANNELS * 2;
    for (const tile of numbers) tiles.push({ tile, stride, values: pixels.take(Uint32Array, bytes) });
  }
  pixels.end();
  return known(header, tiles);
}

async function decodeJpeg(header, pixels) {
  const sheets = header.groups.map((group) => [group, pixels.take(Uint8Array, group.bytes)]);
  pixels.end();
  const tiles = await Promise.all(
    sheets.map(([group, sheet]) => decodeSheet(group, TILE / group.stride, sheet, header.jpeg.exposure)),
  );
  return known(header, tiles.flat());
}

/** The rest of a message, taken bit by bit. */
class Pixels {
  #buffer;
  #offset;

  constructor(buffer, offset) {
    this.#buffer = buffer;
    this.#offset = offset;
  }

  take(Kind, bytes) {
    const offset = this.#offset;
    this.#offset += bytes;
    if (this.#offset > this.#buffer.byteLength) throw new Error("a frame that is cut short");
    return new Kind(this.#buffer, offset, bytes / Kind.BYTES_PER_ELEMENT);
  }

  end() {
    if (this.#offset !== this.#buffer.byteLength) throw new Error("a frame with more pixels than it names");
  }
}
