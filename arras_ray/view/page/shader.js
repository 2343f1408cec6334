// The shaders that put the picture into the window.

export const VERTEX = `#version 300 es
uniform vec4 rectangle;  // left, bottom, right, top in clip space
uniform vec2 size;       // of the picture, in its pixels
out vec2 at;             // the place in the picture

void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  at = corner * size;
  gl_Position = vec4(mix(rectangle.xy, rectangle.zw, corner), 0.0, 1.0);
}`;

// Of a value of the picture, what each channel shows.
const CHANNELS = {
  rgb: "value.rgb",
  r: "value.rrr",
  g: "value.ggg",
  b: "value.bbb",
  a: "value.aaa",
  luminance: "vec3(dot(value.rgb, vec3(0.2126, 0.7152, 0.0722)))",
  normalised: "value.rgb / max(length(value.rgb), 1e-20)",
};

const SRGB = `
vec3 curve(vec3 linear) {
  vec3 bent = 1.055 * pow(linear, vec3(1.0 / 2.4)) - 0.055;
  return mix(bent, linear * 12.92, lessThanEqual(linear, vec3(0.0031308)));
}`;

const POWER = `
uniform float exponent;
vec3 curve(vec3 linear) { return pow(linear, vec3(exponent)); }`;

const OUTLINES = `
uniform sampler2D strides;  // one texel for each tile
uniform float scale;        // device pixels for a pixel of the picture
bool outlined(ivec2 pixel) {
  ivec2 tile = pixel / 64;
  float stride = texelFetch(strides, tile, 0).r * 255.0;
  vec2 inside = (at - vec2(tile * 64)) * scale;
  return stride > 1.5 && (inside.x < 1.0 || inside.y < 1.0);
}`;

/** One shader for each way to show a picture: with all of them in one, software renderers do the work of all. */
export const fragment = ({ channel, gamma, grid }) => `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D picture;
uniform vec2 size;
uniform float gain;
in vec2 at;
out vec4 shown;
${gamma === "sRGB" ? SRGB : POWER}
${grid ? OUTLINES : ""}

void main() {
  ivec2 pixel = ivec2(clamp(at, vec2(0.0), size - 1.0));
  vec4 value = texelFetch(picture, pixel, 0);
  shown = vec4(curve(max(${CHANNELS[channel]} * gain, 0.0)), 1.0);
  ${grid ? "if (outlined(pixel)) shown.rgb = mix(shown.rgb, vec3(1.0, 0.7, 0.2), 0.6);" : ""}
}`;
