// Half floats, by their bits.

export function halfToFloat(half) {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** Of a number that is not negative; the nearest one, and the largest for all above. */
export function floatToHalf(value) {
  if (value < 2 ** -14) return Math.round(value * 2 ** 24);
  const exponent = Math.min(15, Math.floor(Math.log2(value)));
  // What rounds up to the next power of two carries over into the exponent.
  return Math.min(0x7bff, ((exponent + 15) << 10) + Math.round((value / 2 ** exponent - 1) * 1024));
}
