// Tiles that came as a JPEG: of what a screen shows, made linear again, so that all that follows knows no difference.

import { toLinear } from "./display.js";
import { floatToHalf } from "./halves.js";

const LEVELS = Array.from({ length: 256 }, (_, level) => level / 255);
const ALPHAS = Uint16Array.from(LEVELS, floatToHalf);

let colours = ALPHAS;
let coloursExposure = null;

/** The half float of each level of a colour that was shown after so many stops. */
function coloursAt(exposure) {
  if (exposure !== coloursExposure) {
    colours = Uint16Array.from(LEVELS, (level) => floatToHalf(toLinear(level) / 2 ** exposure));
    coloursExposure = exposure;
  }
  return colours;
}

/** Of a group of tiles, `side` pixels each, and the bytes of its JPEG: colours above, alpha below. */
export async function decodeSheet({ stride, tiles, across }, side, bytes, exposure) {
  const image = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }), { colorSpaceConversion: "none" });
  const { width, height } = image;
  const half = Math.ceil(tiles.length / across) * side;
  if (width !== across * side || height !== half * 2) throw new Error("a JPEG of another size than it should have");
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  image.close();
  const levels = context.getImageData(0, 0, width, height).data;

  const colour = coloursAt(exposure);
  return tiles.map((tile, i) => {
    const left = (i % across) * side;
    const top = Math.floor(i / across) * side;
    const values = new Uint32Array(side * side * 2);
    for (let y = 0, to = 0; y < side; y++) {
      let from = ((top + y) * width + left) * 4;
      const below = half * width * 4;
      for (let x = 0; x < side; x++, from += 4) {
        values[to++] = colour[levels[from]] | (colour[levels[from + 1]] << 16);
        values[to++] = colour[levels[from + 2]] | (ALPHAS[levels[from + below]] << 16);
      }
    }
    return { tile, stride, values };
  });
}
