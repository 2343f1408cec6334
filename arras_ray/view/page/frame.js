// Reads a frame: uint32 length of a JSON header, the header, then the tiles' pixels as half floats.

export const TILE = 64;
const CHANNELS = 4;
const decoder = new TextDecoder();

/** {frame, syncId, width, height, tiles}, each tile {tile, stride, values}; values look into the message itself. */
export function decodeFrame(buffer) {
  const headerEnd = buffer.byteLength < 4 ? 0 : 4 + new DataView(buffer).getUint32(0, true);
  if (headerEnd < 4 || headerEnd > buffer.byteLength || headerEnd % 8) throw new Error("a frame without a header");
  const header = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, headerEnd - 4)));

  const tiles = [];
  let offset = headerEnd;
  for (const { stride, tiles: numbers } of header.groups) {
    // Two halves at a time: a pixel is two words.
    const words = (TILE / stride) ** 2 * (CHANNELS / 2);
    if (offset + numbers.length * words * 4 > buffer.byteLength) throw new Error("a frame that is cut short");
    for (const tile of numbers) {
      tiles.push({ tile, stride, values: new Uint32Array(buffer, offset, words) });
      offset += words * 4;
    }
  }
  if (offset !== buffer.byteLength) throw new Error("a frame with more pixels than it names");
  const { frame, sync_id: syncId, width, height } = header;
  return { frame, syncId, width, height, tiles };
}

export function halfToFloat(half) {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
