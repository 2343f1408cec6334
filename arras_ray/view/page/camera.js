// The camera a viewer steers. All of its state is a rigid matrix and a focus: the pivot in the camera's own space,
// which goes along when the camera flies, pans or looks around, and stays in its place when it does anything else.

import {
  IDENTITY, add, cross, dot, fromRows, length, multiply, normalize, orthonormal, rotation, row, same, scale,
  subtract, transformPoint, transformVector, untransformPoint,
} from "./matrix.js";

const UP = [0, 1, 0];
const ORBIT_PER_PIXEL = 0.005;
const LOOK_PER_PIXEL = 0.004;
const ROLL_PER_PIXEL = 0.005;
const DOLLY_PER_PIXEL = 0.995;
// Orbit and look stop short of straight up and down, as they have no heading there.
const STEEPEST = 0.999;
// Less than the width of the forbidden cap, so that no step can jump across it.
const PITCH_STEP = 0.05;
const SPEED_LIMITS = [0.01, 8192];
// Speed 1 crosses half of the scene's radius in a second.
const RADII_PER_SECOND = 0.5;

export class Camera {
  name = "";
  matrix = [...IDENTITY];
  orbiting = true;
  speed = 1;
  #focus = null;
  #initial = [...IDENTITY];
  #centre = [0, 0, 0];
  #radius = 1;
  #lens = { focal: 30, film: 24, aspect: 1 };

  /** Take over what a scene message says. moving: it has not heard yet where this camera is. */
  load({ camera, initial, centre, radius, width, height }, moving) {
    const another = this.name !== camera.name;
    const elsewhere = another || (!moving && !same(camera.matrix, this.matrix));
    this.name = camera.name;
    if (elsewhere) this.matrix = camera.matrix;
    this.#initial = initial;
    this.#centre = centre;
    this.#radius = radius || 1;
    this.#lens = { focal: camera.focal, film: camera.film, aspect: height / width };
    // A pivot that was chosen stays when something else in the scene has changed.
    if (elsewhere) this.#focusAhead();
  }

  get pivot() {
    return transformPoint(this.#focus, orthonormal(this.matrix));
  }

  get #position() {
    return row(this.matrix, 3);
  }

  /** Turn by a drag in pixels: about the pivot, or in the free camera about its own place. */
  turn(dx, dy) {
    if (this.orbiting) this.orbit(dx, dy);
    else this.#rotate(this.#position, -dx * LOOK_PER_PIXEL, -dy * LOOK_PER_PIXEL);
  }

  orbit(dx, dy) {
    this.#rotate(this.pivot, -dx * ORBIT_PER_PIXEL, -dy * ORBIT_PER_PIXEL);
  }

  roll(dx) {
    const straight = orthonormal(this.matrix);
    this.#keepPivot(multiply(straight, rotation(this.#position, row(straight, 2), dx * ROLL_PER_PIXEL)));
  }

  /** Shift by parts of the picture's width, so that what lies as far away as the pivot follows the pointer. */
  pan(right, down) {
    const { film, focal } = this.#lens;
    const ahead = -this.#focus[2] > 0 ? -this.#focus[2] : length(this.#focus);
    const across = (ahead * film) / focal;
    this.#shift([-right * across, down * across, 0]);
  }

  dolly(pixels) {
    const left = DOLLY_PER_PIXEL ** pixels;
    this.#shift(scale(this.#focus, 1 - left));
    this.#focus = scale(this.#focus, left);
  }

  /** Fly along the camera's own axes, -1, 0 or 1 for each, for some seconds. */
  fly(axes, seconds) {
    this.#shift(scale(axes, this.speed * RADII_PER_SECOND * this.#radius * seconds));
  }

  changeSpeed(factor) {
    const [slowest, fastest] = SPEED_LIMITS;
    this.speed = Math.min(fastest, Math.max(slowest, this.speed * factor));
  }

  /** Make this place in world space the pivot. */
  refocus(place) {
    this.#focus = untransformPoint(place, orthonormal(this.matrix));
  }

  /** Turn to the scene's centre and make it the pivot. The roll stays. */
  recentre() {
    const away = subtract(this.#position, this.#centre);
    const distance = length(away);
    if (distance === 0) return;
    this.matrix = this.#facing(scale(away, 1 / distance), this.#rolled());
    this.#focus = [0, 0, -distance];
  }

  /** Keep the direction and step back until the scene's bounding sphere fits. */
  frame() {
    const { film, focal, aspect } = this.#lens;
    const halfAngle = Math.atan((film * Math.min(1, aspect)) / (2 * focal));
    const distance = this.#radius / Math.sin(halfAngle);
    const [x, y, z] = [0, 1, 2].map((i) => row(orthonormal(this.matrix), i));
    this.matrix = fromRows(x, y, z, add(this.#centre, scale(z, distance)));
    this.#focus = [0, 0, -distance];
  }

  reset() {
    this.matrix = this.#initial;
    this.#focusAhead();
  }

  upright() {
    this.#keepPivot(this.#facing(row(orthonormal(this.matrix), 2), 0));
  }

  /** As RDLA. JavaScript prints the shortest digits that read back as the same double. */
  rdla() {
    return `PerspectiveCamera(${JSON.stringify(this.name)}) { ["node_xform"] = Mat4(${this.matrix.join(", ")}) }`;
  }

  /** Turn in place, and leave the pivot where it is in the world. */
  #keepPivot(matrix) {
    const pivot = this.pivot;
    this.matrix = matrix;
    this.refocus(pivot);
  }

  #shift(by) {
    const straight = orthonormal(this.matrix);
    straight.splice(12, 3, ...add(this.#position, transformVector(by, straight)));
    this.matrix = straight;
  }

  #rotate(point, yaw, pitch) {
    let turned = multiply(this.matrix, rotation(point, UP, yaw));
    const steps = Math.ceil(Math.abs(pitch) / PITCH_STEP);
    for (let i = 0; i < steps; i++) {
      const x = row(orthonormal(turned), 0);
      const next = multiply(turned, rotation(point, x, pitch / steps));
      if (steepness(next) > STEEPEST && steepness(next) > steepness(turned)) break;
      turned = next;
    }
    this.matrix = orthonormal(turned);
  }

  /** The pivot straight ahead, as far away as the scene's centre. */
  #focusAhead() {
    const ahead = dot(subtract(this.#position, this.#centre), row(orthonormal(this.matrix), 2));
    this.#focus = [0, 0, -(ahead > 0 ? ahead : this.#radius)];
  }

  /** The camera's roll against one that stands upright and looks the same way. */
  #rolled() {
    const straight = orthonormal(this.matrix);
    const x = row(straight, 0);
    const level = levelAxis(straight);
    return Math.atan2(dot(cross(level, x), row(straight, 2)), dot(level, x));
  }

  /** Stay in place, look along -z and roll from upright. */
  #facing(z, roll) {
    const x = levelAxis(fromRows(row(this.matrix, 0), row(this.matrix, 1), z, this.#position));
    const level = fromRows(x, cross(z, x), z, this.#position);
    return roll ? orthonormal(multiply(level, rotation(this.#position, z, roll))) : level;
  }
}

const steepness = (m) => Math.abs(row(orthonormal(m), 2)[1]);

/** The horizontal x axis of a camera that looks along -z of `m`; straight up and down, its own x axis made square. */
function levelAxis(m) {
  const z = row(m, 2);
  const level = cross(UP, z);
  if (length(level) > 1e-6) return normalize(level);
  const x = row(m, 0);
  return normalize(subtract(x, scale(z, dot(x, z))));
}
