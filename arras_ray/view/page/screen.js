// Draws the picture with WebGL2: half floats go to the card as they are, the rest is the shader's.

import { VERTEX, fragment } from "./shader.js";

const BACKGROUND = 0x18 / 255;

export class Screen {
  #canvas;
  #gl;
  /** By the text of their fragment shader: [program, uniforms]. */
  #programs;
  #picture;
  #strides;

  /** `restored` is called when the card is back after it was lost: all rows have to be drawn again. */
  constructor(canvas, restored) {
    this.#canvas = canvas;
    this.#gl = canvas.getContext("webgl2", { antialias: false, alpha: false, depth: false });
    if (!this.#gl) {
      throw new Error("This browser has no WebGL2, which this page needs. Turn on hardware acceleration or update it.");
    }
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.#prepare();
      restored();
    });
    this.#prepare();
  }

  draw(picture, display, viewport) {
    const gl = this.#gl;
    if (gl.isContextLost()) return;
    const { width, height } = this.#canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(BACKGROUND, BACKGROUND, BACKGROUND, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (picture.width === 0) return;

    this.#upload(picture);
    const at = this.#use(fragment(display));
    const { left, top, width: across, height: down } = viewport.rectangle;
    gl.uniform4f(
      at.rectangle,
      (2 * left) / width - 1, 1 - (2 * (top + down)) / height,
      (2 * (left + across)) / width - 1, 1 - (2 * top) / height,
    );
    gl.uniform2f(at.size, picture.width, picture.height);
    gl.uniform1f(at.scale, viewport.scale);
    gl.uniform1f(at.gain, 2 ** display.exposure);
    gl.uniform1f(at.exponent, 1 / display.gamma);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  #prepare() {
    const gl = this.#gl;
    this.#programs = new Map();
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.#picture = new Texture(gl, gl.TEXTURE0, gl.RGBA16F);
    this.#strides = new Texture(gl, gl.TEXTURE1, gl.R8);
  }

  /** The places of the uniforms of a program that is used from now on; null for those it does without. */
  #use(text) {
    const gl = this.#gl;
    if (!this.#programs.has(text)) this.#programs.set(text, this.#build(text));
    const [program, uniforms] = this.#programs.get(text);
    gl.useProgram(program);
    return uniforms;
  }

  #build(fragmentText) {
    const gl = this.#gl;
    const program = gl.createProgram();
    for (const [type, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragmentText]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      const logs = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader));
      throw new Error(`The shaders do not compile. ${logs.join(" ")}`);
    }
    gl.useProgram(program);
    const names = ["rectangle", "size", "scale", "gain", "exponent", "picture", "strides"];
    const uniforms = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)]));
    gl.uniform1i(uniforms.picture, 0);
    gl.uniform1i(uniforms.strides, 1);
    return [program, uniforms];
  }

  #upload(picture) {
    const gl = this.#gl;
    const { width, height, across, down, halves, strides } = picture;
    this.#picture.fit(width, height);
    for (const [first, end] of picture.takeChangedRows()) {
      gl.texSubImage2D(
        gl.TEXTURE_2D, 0, 0, first, width, end - first, gl.RGBA, gl.HALF_FLOAT, halves, first * width * 4,
      );
    }
    this.#strides.fit(across, down);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, across, down, gl.RED, gl.UNSIGNED_BYTE, strides);
  }
}

/** A texture without filtering, made anew when its size changes. */
class Texture {
  #gl;
  #unit;
  #format;
  #texture = null;
  #size = "";

  constructor(gl, unit, format) {
    this.#gl = gl;
    this.#unit = unit;
    this.#format = format;
  }

  /** Make it the current one, of this size. */
  fit(width, height) {
    const gl = this.#gl;
    gl.activeTexture(this.#unit);
    if (this.#size === `${width} ${height}`) return;
    const largest = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    if (Math.max(width, height) > largest) {
      throw new Error(`A picture of ${width} x ${height} is more than this graphics card takes, ${largest} a side.`);
    }
    gl.deleteTexture(this.#texture);
    this.#texture = gl.createTexture();
    this.#size = `${width} ${height}`;
    gl.bindTexture(gl.TEXTURE_2D, this.#texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, this.#format, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }
}
