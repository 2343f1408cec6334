// 4x4 matrices as flat, row-major arrays of 16 for row vectors, as RDL2 has them: p_world = [p, 1] * M.
// All functions are pure and give new arrays.

export const IDENTITY = Object.freeze([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);

export const add = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scale = (a, factor) => [a[0] * factor, a[1] * factor, a[2] * factor];
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a) => Math.hypot(a[0], a[1], a[2]);
export const normalize = (a) => scale(a, 1 / length(a));
export const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** Row 0, 1, 2: the x, y, z axis; row 3: the position. */
export const row = (m, i) => [m[4 * i], m[4 * i + 1], m[4 * i + 2]];

export const fromRows = (x, y, z, position) => [...x, 0, ...y, 0, ...z, 0, ...position, 1];

export const same = (a, b) => a.every((value, i) => value === b[i]);

export function multiply(a, b) {
  const product = [];
  for (let i = 0; i < 16; i += 4) {
    for (let j = 0; j < 4; j++) {
      product.push(a[i] * b[j] + a[i + 1] * b[4 + j] + a[i + 2] * b[8 + j] + a[i + 3] * b[12 + j]);
    }
  }
  return product;
}

export const transformVector = (v, m) =>
  [0, 1, 2].map((j) => v[0] * m[j] + v[1] * m[4 + j] + v[2] * m[8 + j]);

export const transformPoint = (p, m) => add(transformVector(p, m), row(m, 3));

/** The point that the rigid `m` moves to `p`. */
export function untransformPoint(p, m) {
  const away = subtract(p, row(m, 3));
  return [0, 1, 2].map((i) => dot(away, row(m, i)));
}

/** A right-handed turn about the line through `point` along the unit vector `axis`. */
export function rotation(point, axis, angle) {
  const [x, y, z] = axis;
  const c = Math.cos(angle);
  const s = Math.sin(angle);
  const k = 1 - c;
  const rows = [
    [x * x * k + c, x * y * k + z * s, x * z * k - y * s],
    [x * y * k - z * s, y * y * k + c, y * z * k + x * s],
    [x * z * k + y * s, y * z * k - x * s, z * z * k + c],
  ];
  const turned = transformVector(point, fromRows(...rows, [0, 0, 0]));
  return fromRows(...rows, subtract(point, turned));
}

/** The nearest rigid matrix that keeps the z axis' direction: what rounding or a scale has bent is made straight. */
export function orthonormal(m) {
  const z = normalize(row(m, 2));
  const x = normalize(cross(row(m, 1), z));
  return fromRows(x, cross(z, x), z, row(m, 3));
}
