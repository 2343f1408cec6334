// The two shaders that put the picture into the window.

export const VERTEX = `#version 300 es
uniform vec4 rectangle;  // left, bottom, right, top in clip space
uniform vec2 size;       // of the picture, in its pixels
out vec2 at;             // the place in the picture

void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  at = corner * size;
  gl_Position = vec4(mix(rectangle.xy, rectangle.zw, corner), 0.0, 1.0);
}`;

export const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D picture;
uniform sampler2D strides;  // one texel for each tile
uniform vec2 size;
uniform float scale;        // device pixels for a pixel of the picture
uniform int channel;
uniform float gain;
uniform float exponent;     // 0 for the sRGB curve
uniform bool grid;
in vec2 at;
out vec4 shown;

vec3 selected(vec4 value) {
  switch (channel) {
    case 1: return value.rrr;
    case 2: return value.ggg;
    case 3: return value.bbb;
    case 4: return value.aaa;
    case 5: return vec3(dot(value.rgb, vec3(0.2126, 0.7152, 0.0722)));
    case 6: return value.rgb / max(length(value.rgb), 1e-20);
    default: return value.rgb;
  }
}

vec3 curve(vec3 linear) {
  if (exponent > 0.0) return pow(linear, vec3(exponent));
  vec3 bent = 1.055 * pow(linear, vec3(1.0 / 2.4)) - 0.055;
  return mix(bent, linear * 12.92, lessThanEqual(linear, vec3(0.0031308)));
}

bool coarseEdge(ivec2 pixel) {
  ivec2 tile = pixel / 64;
  float stride = texelFetch(strides, tile, 0).r * 255.0;
  vec2 inside = (at - vec2(tile * 64)) * scale;
  return stride > 1.5 && (inside.x < 1.0 || inside.y < 1.0);
}

void main() {
  ivec2 pixel = ivec2(clamp(at, vec2(0.0), size - 1.0));
  vec3 linear = max(selected(texelFetch(picture, pixel, 0)) * gain, 0.0);
  shown = vec4(curve(linear), 1.0);
  if (grid && coarseEdge(pixel)) shown.rgb = mix(shown.rgb, vec3(1.0, 0.7, 0.2), 0.6);
}`;
