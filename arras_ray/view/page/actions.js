// What each act of the bindings' table does.

import * as panels from "./panels.js";

const STOPS_PER_PIXEL = 0.01;
const GAMMA_PER_PIXEL = 0.005;
const ZOOM_PER_PIXEL = 1.0015;
const DOLLY_PER_WHEEL_PIXEL = 0.3;

/** CSS pixels as device pixels. */
export const toDevice = (point) => point.map((value) => value * window.devicePixelRatio);

export function makeActions({ camera, display, viewport, picture, maySteer, snapshot, locate }) {
  /** CSS pixels as parts of the picture's width. */
  const ofWidth = (pixels) => (pixels * window.devicePixelRatio) / viewport.rectangle.width;
  const channel = (name) => () => (display.channel = name);

  return {
    turn: ({ dx, dy }) => camera.turn(dx, dy),
    orbit: ({ dx, dy }) => camera.orbit(dx, dy),
    pan: ({ dx, dy }) => camera.pan(ofWidth(dx), ofWidth(dy)),
    dolly: ({ dx, dy }) => camera.dolly(dx + dy),
    roll: ({ dx }) => camera.roll(dx),
    wheelDolly: ({ amount }) => camera.dolly(amount * DOLLY_PER_WHEEL_PIXEL),
    refocus({ x, y }) {
      const [across, up] = viewport.toPicture(...toDevice([x, y]));
      locate([across / picture.width, up / picture.height]);
    },
    recentre: () => camera.recentre(),
    frame: () => camera.frame(),
    toggleCamera: () => (camera.orbiting = !camera.orbiting),
    slower: () => camera.changeSpeed(0.5),
    faster: () => camera.changeSpeed(2),
    reset: () => camera.reset(),
    upright: () => camera.upright(),

    showRgb: channel("rgb"),
    showRed: channel("r"),
    showGreen: channel("g"),
    showBlue: channel("b"),
    showAlpha: channel("a"),
    showLuminance: channel("luminance"),
    showNormalised: channel("normalised"),
    dragExposure: ({ dx }) => display.addExposure(dx * STOPS_PER_PIXEL),
    dragGamma: ({ dx }) => display.addGamma(dx * GAMMA_PER_PIXEL),
    brighter: () => display.addExposure(1),
    darker: () => display.addExposure(-1),
    resetExposure: () => (display.exposure = 0),
    resetGamma: () => (display.gamma = "sRGB"),
    zoom: ({ x, y, amount }) => viewport.zoomAt(ZOOM_PER_PIXEL ** amount, ...toDevice([x, y])),
    movePicture: ({ dx, dy }) => viewport.move(...toDevice([dx, dy])),
    fit: () => viewport.fit(),

    toggleInspector: panels.toggleInspector,
    toggleGrid: () => (display.grid = !display.grid),
    snapshot,
    printCamera: () => panels.showCameraText(camera.rdla()),
    toggleMachines: panels.toggleMachines,
    toggleHelp: () => panels.toggleHelp(maySteer()),
    closePanels: panels.closePanels,
  };
}

/** Hand an image to the browser's downloads. */
export function saveImage(blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `arras-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
