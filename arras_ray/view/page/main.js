// Wires the page together. Everything that changes asks for a tick; a tick sends, draws and acknowledges.

import { makeActions, saveImage, toDevice } from "./actions.js";
import { Bar } from "./bar.js";
import { Camera } from "./camera.js";
import { Coding } from "./coding.js";
import { Connection } from "./connection.js";
import { Display } from "./display.js";
import { FrameReader } from "./frame.js";
import { onLight, showLights } from "./lights.js";
import { same } from "./matrix.js";
import { FrameRate, LatencyMeter } from "./meters.js";
import { Navigation } from "./navigation.js";
import { showError, showNotice, showWarnings } from "./notes.js";
import * as panels from "./panels.js";
import { Picture } from "./picture.js";
import { Screen } from "./screen.js";
import { Surface } from "./surface.js";
import { Viewport } from "./viewport.js";
import { Wishes } from "./wishes.js";

// A tick that came late, as after a pause of the browser, does not fling the camera away.
const LONGEST_STEP = 0.1;
const FIRST_STEP = 1 / 60;
// Nobody reads figures faster, and each change of them has the page painted. In ms.
const BETWEEN_METERS = 250;

const canvas = document.getElementById("picture");
const picture = new Picture();
const camera = new Camera();
const display = new Display();
const viewport = new Viewport();
const meter = new LatencyMeter();
const frameRate = new FrameRate();

let maySteer = false;
/** Of the picture of this scene at 100 %. */
let fullWidth = 1;
/** Received and not yet drawn. */
let frames = [];
let knownMatrix = camera.matrix;
let scheduled = false;
/** Whether the canvas has to be drawn anew. */
let stale = false;
let flyingSince = null;
let metersShown = 0;
let metersTimer;
let screen = null;

const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`;
const reader = new FrameReader(receive);
const connection = new Connection(url, {
  text: hear,
  frame: (buffer) => reader.read(buffer),
  opened() {
    coding.opened();
    bar.showConnection("connected", false);
  },
  unreadable: (error) => showNotice(`The server sent ${error.message}.`),
  closed(seconds) {
    forgetServer();
    bar.showConnection(`not connected, next try in ${seconds} s`, true);
  },
  ended(reason) {
    forgetServer();
    bar.showConnection("ended", Boolean(reason));
    showError("server", reason);
  },
  notAllowed() {
    forgetServer();
    bar.showConnection("not allowed", true);
    showError("link", "This link is no longer valid. A fresh link is needed.");
  },
});

const coding = new Coding((message) => connection.send(message));

const wishes = new Wishes((message) => connection.send(message));

const surface = new Surface({ picture, camera, display, connection, meter });

const bar = new Bar({
  play: (state) => connection.send({ type: "play", state }),
  scale: (divisor) => connection.send({ type: "scale", divisor }),
  help: () => panels.toggleHelp(maySteer),
});

function schedule() {
  if (scheduled || !screen) return;
  scheduled = true;
  requestAnimationFrame(tick);
}

function redraw() {
  stale = true;
  schedule();
}

function tick(now) {
  scheduled = false;
  fly(now);
  const waiting = maySteer && !sendChanges();
  if (stale) draw();
  coding.exposed(display.exposure);
  bar.showDisplay(display, viewport.scale);
  bar.showCamera(camera);
  showMeters();
  if (waiting || flyingSince !== null) schedule();
}

function fly(now) {
  const axes = maySteer ? navigation.flight : null;
  if (axes) {
    const seconds = flyingSince === null ? FIRST_STEP : (now - flyingSince) / 1000;
    camera.fly(axes, Math.min(LONGEST_STEP, seconds));
  }
  flyingSince = axes ? now : null;
}

/** Whether nothing waits to be sent. While the socket is busy the newest values do; without one there is no use. */
function sendChanges() {
  if (!same(camera.matrix, knownMatrix)) wishes.want(camera, { type: "camera", matrix: camera.matrix });
  knownMatrix = camera.matrix;
  if (!connection.connected) wishes.forget();
  if (!wishes.any) return true;
  if (!connection.idle) return false;
  wishes.send();
  meter.sent(performance.now());
  return true;
}

function draw() {
  stale = false;
  try {
    screen.draw(picture, display, viewport);
    showError("screen", "");
  } catch (error) {
    showError("screen", error.message);
  }
  const now = performance.now();
  for (const drawn of frames) {
    connection.send({ type: "ack", frame: drawn.frame });
    meter.drawn(drawn.syncId, now);
    surface.drew(drawn, picture.coarsest, now);
  }
  if (frames.length > 0) frameRate.drawn(now);
  frames = [];
  inspect();
}

function showMeters() {
  const now = performance.now();
  if (now - metersShown < BETWEEN_METERS) return;
  metersShown = now;
  const rate = frameRate.at(now);
  bar.showMeters(rate, meter.latencies.at(-1));
  // Nothing else has them shown again when the last frame was drawn.
  clearTimeout(metersTimer);
  if (rate > 0) metersTimer = setTimeout(showMeters, FrameRate.MS);
}

function inspect() {
  if (navigation.pointer === null) return;
  const [x, y] = viewport.toPicture(...toDevice(navigation.pointer)).map(Math.floor);
  panels.showPixel(x, y, picture.pixel(x, y), coding.exact);
}

function hear(message) {
  if (message.type === "scene") takeScene(message);
  else if (message.type === "status") takeStatus(message);
  else if (message.type === "located") refocus(message.place);
  else if (message.type === "refused") showNotice(`Not accepted: ${message.reason}`);
}

function takeScene(scene) {
  maySteer = scene.steer;
  document.body.classList.toggle("watching", !maySteer);
  wishes.heard(scene.heard);
  const moving = wishes.open(camera) || !same(camera.matrix, knownMatrix);
  camera.load(scene, moving);
  if (!moving) knownMatrix = camera.matrix;
  showLights(scene.lights, wishes.open.bind(wishes));
  fullWidth = scene.width;
  bar.showDivisor(scene.divisor);
  if (picture.width === 0) fitPicture(scene.width, scene.height);
  else fitPicture(picture.width, picture.height);
  redraw();
}

function takeStatus(status) {
  bar.showStatus(status);
  panels.showMachines(status.mcrts);
  showWarnings(status.warnings);
  showError("server", status.error);
  showMeters();
}

function refocus(place) {
  if (place) camera.refocus(place);
  showNotice(place ? "The pivot is under the pointer." : "There is nothing under the pointer.");
}

function receive(frame) {
  picture.apply(frame);
  meter.received(frame.syncId);
  frames.push({ frame: frame.frame, syncId: frame.syncId });
  fitPicture(frame.width, frame.height);
  redraw();
}

function fitPicture(width, height) {
  viewport.setPicture(width, height, fullWidth);
}

/** What only the connection that is gone could have answered. */
function forgetServer() {
  frames = [];
  reader.forget();
  wishes.forget();
  knownMatrix = camera.matrix;
  meter.restart();
}

function resize() {
  const ratio = window.devicePixelRatio;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  viewport.setWindow(canvas.width, canvas.height - Math.ceil(bar.height * ratio));
  redraw();
}

const actions = makeActions({
  camera,
  display,
  viewport,
  picture,
  maySteer: () => maySteer,
  locate(at) {
    if (!connection.connected) showNotice("Not connected: nobody can tell what is there.");
    else if (picture.width === 0) showNotice("There is no picture yet.");
    else if (at.every((part) => part >= 0 && part < 1)) connection.send({ type: "locate", at });
    else refocus(null);
  },
  snapshot() {
    // The drawing is there only until the browser has shown it.
    draw();
    canvas.toBlob(saveImage);
  },
});

const navigation = new Navigation(canvas, {
  act(binding, detail) {
    actions[binding.act](detail);
    // A camera that moved changes nothing here before the server has answered.
    if (binding.steers) schedule();
    else redraw();
  },
  held: schedule,
  pointed: inspect,
  maySteer: () => maySteer,
});

onLight((name, color) => {
  wishes.want(name, { type: "set", object: name, attribute: "color", value: color });
  schedule();
});

try {
  screen = new Screen(canvas, () => {
    picture.markAllChanged();
    redraw();
  });
  window.addEventListener("resize", resize);
  bar.onResize(resize);
  bar.showConnection("connecting", false);
  connection.open();
} catch (error) {
  showError("screen", error.message);
}
