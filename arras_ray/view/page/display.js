// How the picture is shown: all of it happens here in the page. Only of a JPEG the server has to know the exposure.

/** In stops, either way; the server takes no more. */
const LARGEST_EXPOSURE = 32;
const GAMMA_LIMITS = [0.1, 10];
const FIRST_GAMMA = 2.2;

export class Display {
  /** A name of the shaders' table. */
  channel = "rgb";
  /** In stops. */
  exposure = 0;
  /** The exponent, or "sRGB" for that curve. */
  gamma = "sRGB";
  /** Whether the tiles that are still coarse are outlined. */
  grid = false;

  addExposure(stops) {
    // Rounded, so that dragging to and fro comes back to 0.
    const exposure = Math.round((this.exposure + stops) * 1000) / 1000;
    this.exposure = Math.min(LARGEST_EXPOSURE, Math.max(-LARGEST_EXPOSURE, exposure));
  }

  addGamma(amount) {
    const from = this.gamma === "sRGB" ? FIRST_GAMMA : this.gamma;
    const [least, most] = GAMMA_LIMITS;
    this.gamma = Math.min(most, Math.max(least, Math.round((from + amount) * 1000) / 1000));
  }
}

/** Of a colour's sRGB value, 0 to 1. */
export const toLinear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const toSrgb = (value) => (value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055);

/** "#rrggbb" in sRGB as three linear numbers. */
export const fromHex = (hex) => [1, 3, 5].map((at) => toLinear(parseInt(hex.slice(at, at + 2), 16) / 255));

/** Three linear numbers as "#rrggbb" in sRGB, cut to what that can say. */
export function toHex(color) {
  const bytes = color.map((value) => Math.round(255 * toSrgb(Math.min(1, Math.max(0, value)))));
  return "#" + bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
