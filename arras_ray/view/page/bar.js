// The status bar: what the server says of the render, and what the page knows of itself.

const element = (id) => document.getElementById(id);

function show(id, text) {
  const shown = element(id);
  // The same text again would have the page laid out again.
  if (shown.textContent !== text) shown.textContent = text;
}

const STEPS = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** 1234567 as "1.23M". */
export function short(number) {
  const [unit, letter] = STEPS.find(([step]) => number >= step) ?? [1, ""];
  return Number((number / unit).toPrecision(3)) + letter;
}

export class Bar {
  /** play(state), scale(divisor) and help() are called for what is pressed. */
  constructor({ play, scale, help }) {
    for (const button of document.querySelectorAll("[data-play]")) {
      button.addEventListener("click", () => play(button.dataset.play));
    }
    element("divisor").addEventListener("change", ({ target }) => {
      scale(Number(target.value));
      target.blur();
    });
    element("help-button").addEventListener("click", help);
    // After a click the keys belong to the picture again; who came with the keyboard stays.
    element("bar").addEventListener("click", ({ target, detail }) => detail && target.closest("button")?.blur());
  }

  get height() {
    return element("bar").offsetHeight;
  }

  onResize(resized) {
    new ResizeObserver(resized).observe(element("bar"));
  }

  showStatus({ stage, playing, progress, samples, seconds, rate, width, height }) {
    element("progress").value = progress;
    // What is refined without end stays at nothing for hours.
    const percent = Math.floor(progress * 100);
    const what = stage === "rendering" && playing === "paused" ? playing : stage;
    show("stage", percent > 0 && percent < 100 ? `${what} ${percent} %` : what);
    show("samples", `${(samples / (width * height)).toFixed(1)} spp`);
    show("rate", `${short(rate)}/s`);
    show("seconds", `${seconds.toFixed(1)} s`);
    for (const button of document.querySelectorAll("[data-play]")) {
      button.setAttribute("aria-pressed", button.dataset.play === playing);
    }
  }

  showDivisor(divisor) {
    element("divisor").value = divisor;
  }

  showMeters(fps, latency) {
    show("fps", `${fps} fps`);
    show("latency", latency === undefined ? "" : `edit ${latency.toFixed(0)} ms`);
  }

  showDisplay({ channel, exposure, gamma }, scale) {
    const parts = [channel, gamma === "sRGB" ? gamma : `gamma ${gamma}`, `${(scale * 100).toFixed(0)} %`];
    if (exposure !== 0) parts.splice(1, 0, `${exposure > 0 ? "+" : ""}${exposure} stops`);
    show("shown", parts.join(", "));
  }

  showCamera({ orbiting, speed }) {
    show("flying", `${orbiting ? "orbit" : "free"}, speed ${Number(speed.toPrecision(3))}`);
  }

  showConnection(text, broken) {
    show("connection", text);
    element("connection").classList.toggle("broken", broken);
  }
}
