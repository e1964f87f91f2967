/* Parts of the studio's page that follow the pointer: a brush for masks, a frame to choose faces, a canvas whose drawing is
   translated as it grows. Each is an element of its own, which begins to work wherever the page puts it. */

/* Give a field of the page a value, as if it was typed. */
function setField(id, value) {
  const field = document.querySelector(`#${id} textarea, #${id} input`);
  if (!field) return;
  const kind = field.tagName === "TEXTAREA" ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(field, value);
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/* A second click of a double click is none. */
const clicked = new WeakMap();
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button.primary, button.secondary");
  if (!button || !event.isTrusted) return;
  if (event.timeStamp - (clicked.get(button) ?? -1000) < 500) {
    event.stopImmediatePropagation();
    event.preventDefault();
  } else clicked.set(button, event.timeStamp);
}, true);

/* Of buttons with data-pair="ID,ID" and data-value the first that is clicked fills one field, the second the other. */
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-pair]");
  if (!button) return;
  const all = [...button.parentElement.querySelectorAll("[data-pair]")];
  const first = all.find((each) => each.dataset.chosen === "1");
  const second = all.find((each) => each.dataset.chosen === "2");
  const place = !first || second ? 1 : 2;
  if (place === 1) all.forEach((each) => (delete each.dataset.chosen, each.setAttribute("aria-pressed", "false")));
  button.dataset.chosen = place;
  button.setAttribute("aria-pressed", "true");
  setField(button.dataset.pair.split(",")[place - 1], button.dataset.value);
});

/* A picture in the clipboard goes to the first place for pictures that can be seen. */
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  const places = [...document.querySelectorAll(".photo")].filter((each) => each.offsetParent);
  const input = places.map((each) => each.querySelector("input[type=file]")).find(Boolean);
  if (!files.length || !input) return;
  const given = new DataTransfer();
  given.items.add(files[0]);
  input.files = given.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});

/* On a narrow page the result lies below what asks for it: go there. */
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button.primary");
  const stage = [...(button?.closest(".tabitem")?.querySelectorAll(".stage") ?? [])].find((each) => each.offsetParent);
  if (stage && window.innerWidth < 700) setTimeout(() => stage.scrollIntoView({ block: "start" }), 150);
});

function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/* A canvas to draw on with mouse, finger, pen, or the arrow keys (Space puts the pen down and lifts it). */
class Surface {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.changed = changed;
    this.color = "#000";
    this.size = 1;
    this.hard = false;
    this.last = null;
    this.down = false;
    this.cursor = [canvas.width / 2, canvas.height / 2];
    this.earlier = [];
    canvas.tabIndex = 0;
    canvas.style.touchAction = "none";
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.remember();
      this.line(this.at(event), this.at(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId) && this.last) this.line(this.last, this.at(event));
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.lift());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.canvas.width, ((event.clientY - box.top) / box.height) * this.canvas.height];
  }
  line(from, to) {
    const context = this.context;
    context.strokeStyle = context.fillStyle = this.color;
    if (this.hard) {
      hardLine(context, from, to, this.size);
    } else {
      context.lineWidth = this.size;
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(to[0] + 0.01, to[1]);
      context.stroke();
    }
    this.last = to;
    this.changed(false);
  }
  lift() {
    if (this.last) this.changed(true);
    this.last = null;
  }
  remember() {
    this.earlier.push(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height));
    if (this.earlier.length > 20) this.earlier.shift();
  }
  undo() {
    const before = this.earlier.pop();
    if (before) this.context.putImageData(before, 0, 0);
    this.changed(true);
  }
  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === " ") {
      this.down = !this.down;
      if (this.down) this.remember(), this.line(this.cursor, this.cursor);
      else this.lift();
    } else if (event.key in moves) {
      const pace = Math.max(2, this.canvas.width / 64);
      const to = this.cursor.map((each, index) => Math.max(0, Math.min([this.canvas.width, this.canvas.height][index], each + pace * moves[event.key][index])));
      if (this.down) this.line(this.cursor, to);
      this.cursor = to;
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      this.undo();
    } else return;
    event.preventDefault();
  }
}

const REGIONS = { "Left half": [0, 0, 0.5, 1], "Right half": [0.5, 0, 1, 1], "Top half": [0, 0, 1, 0.5], "Bottom half": [0, 0.5, 1, 1], Middle: [0.25, 0.25, 0.75, 0.75] };

/* <sl-brush src field label>: paint over a picture; the field gets a PNG, white where it was painted, or "". */
class Brush extends HTMLElement {
  connectedCallback() {
    if (this.childElementCount) return;
    const picture = made("img", { src: this.getAttribute("src"), alt: "" });
    picture.addEventListener("load", () => this.begin(picture), { once: true });
    this.append(picture);
  }
  begin(picture) {
    const canvas = made("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${this.getAttribute("label")}: paint here; or use the arrow keys, Space puts the brush down`);
    const surface = new Surface(canvas, (ended) => ended && this.tell(canvas));
    surface.color = "#b3382c";
    surface.size = canvas.width / 12;
    const size = made("input", { type: "range", min: 2, max: 30, value: 12 });
    size.setAttribute("aria-label", "size of the brush");
    size.addEventListener("input", () => (surface.size = canvas.width / (32 - size.value)));
    const rub = made("button", { type: "button", textContent: "Rub out" });
    rub.addEventListener("click", () => {
      const on = rub.getAttribute("aria-pressed") !== "true";
      rub.setAttribute("aria-pressed", String(on));
      surface.context.globalCompositeOperation = on ? "destination-out" : "source-over";
    });
    const clear = made("button", { type: "button", textContent: "Clear" });
    clear.addEventListener("click", () => {
      surface.remember();
      surface.context.clearRect(0, 0, canvas.width, canvas.height);
      setField(this.getAttribute("field"), "");
    });
    const region = made("select", {}, made("option", { value: "", textContent: "Fill ..." }));
    region.setAttribute("aria-label", "fill a part");
    region.append(...Object.keys(REGIONS).map((name) => made("option", { textContent: name })));
    region.addEventListener("change", () => {
      const [left, top, right, bottom] = REGIONS[region.value] ?? [0, 0, 0, 0];
      surface.remember();
      surface.context.fillStyle = surface.color;
      surface.context.fillRect(left * canvas.width, top * canvas.height, (right - left) * canvas.width, (bottom - top) * canvas.height);
      region.value = "";
      this.tell(canvas);
    });
    this.append(made("div", { className: "layer" }, canvas), made("p", { className: "tools" }, size, region, rub, clear));
    this.querySelector(".layer").prepend(picture);
  }
  tell(canvas) {
    const mask = made("canvas", { width: canvas.width, height: canvas.height });
    const context = mask.getContext("2d");
    context.drawImage(canvas, 0, 0);
    const pixels = context.getImageData(0, 0, mask.width, mask.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      pixels.data.fill(pixels.data[i + 3] > 127 ? 255 : 0, i, i + 3);
      pixels.data[i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    setField(this.getAttribute("field"), mask.toDataURL("image/png"));
  }
}

/* <sl-faces src field faces width height>: choose a face, or draw a square; the field gets landmarks or a box as JSON. */
class Faces extends HTMLElement {
  connectedCallback() {
    if (this.childElementCount) return;
    const [width, height] = ["width", "height"].map((each) => Number(this.getAttribute(each)));
    const picture = made("img", { src: this.getAttribute("src"), alt: "your photograph; drag a square around a face to choose it" });
    picture.draggable = false;
    const square = made("div", { className: "square", hidden: true });
    this.append(picture, square);
    JSON.parse(this.getAttribute("faces")).forEach((face, index) => {
      const [left, top, right, bottom] = face.box;
      const button = made("button", { type: "button", title: `face ${index + 1}` });
      button.setAttribute("aria-label", `choose face ${index + 1}`);
      button.setAttribute("aria-pressed", String(index === 0));
      Object.assign(button.style, { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`, width: `${(100 * (right - left)) / width}%`, height: `${(100 * (bottom - top)) / height}%` });
      button.addEventListener("click", () => {
        for (const each of this.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each === button));
        square.hidden = true;
        setField(this.getAttribute("field"), JSON.stringify({ landmarks: face.landmarks }));
      });
      this.append(button);
    });
    let from = null;
    const at = (event) => {
      const box = picture.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
    };
    picture.addEventListener("pointerdown", (event) => {
      picture.setPointerCapture(event.pointerId);
      from = at(event);
    });
    picture.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = at(event);
      const side = Math.min(Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])), width, height);
      const left = Math.max(0, Math.min(width - side, to[0] < from[0] ? from[0] - side : from[0]));
      const top = Math.max(0, Math.min(height - side, to[1] < from[1] ? from[1] - side : from[1]));
      Object.assign(square.style, { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`, width: `${(100 * side) / width}%`, height: `${(100 * side) / height}%` });
      square.hidden = false;
      this.box = [left, top, left + side, top + side].map(Math.round);
    });
    picture.addEventListener("pointerup", () => {
      from = null;
      if (square.hidden || !this.box || this.box[2] - this.box[0] < 16) return;
      for (const each of this.querySelectorAll("button")) each.setAttribute("aria-pressed", "false");
      setField(this.getAttribute("field"), JSON.stringify({ box: this.box }));
    });
  }
}

const FACES = 8; // drawings to begin with

/* One-pixel lines without soft edges: what such networks were trained on. */
function hardLine(context, from, to, size) {
  const [x, y] = from.map(Math.floor);
  const [dx, dy] = [Math.floor(to[0]) - x, Math.floor(to[1]) - y];
  const steps = Math.max(Math.abs(dx), Math.abs(dy), 1);
  const half = Math.floor(size / 2);
  for (let i = 0; i <= steps; i++) {
    context.fillRect(Math.round(x + (dx * i) / steps) - half, Math.round(y + (dy * i) / steps) - half, size, size);
  }
}

/* <sl-draw model side>: a drawing, and what a model makes of it while it grows. */
class Draw extends HTMLElement {
  connectedCallback() {
    if (this.childElementCount) return;
    const side = Number(this.getAttribute("side"));
    const canvas = made("canvas", { width: side, height: side });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "your drawing: draw here; or use the arrow keys, Space puts the pen down");
    this.shown = made("img", { alt: "the portrait that becomes of the drawing", width: side, height: side });
    this.told = made("span", { className: "told" });
    this.told.setAttribute("role", "status");
    const surface = new Surface(canvas, () => this.ask(canvas));
    surface.hard = true;
    const clear = () => {
      surface.context.fillStyle = "#fff";
      surface.context.fillRect(0, 0, side, side);
    };
    clear();
    let face = 0;
    const begin = () => {
      const drawing = made("img", { src: `/studio/drawings/${face++ % FACES}.png` });
      drawing.addEventListener("load", () => (surface.remember(), surface.context.drawImage(drawing, 0, 0), this.ask(canvas)));
    };
    const button = (text, act) => {
      const each = made("button", { type: "button", textContent: text });
      each.addEventListener("click", act);
      return each;
    };
    const rub = button("Rub out", () => {
      const on = surface.color === "#000";
      rub.setAttribute("aria-pressed", String(on));
      Object.assign(surface, on ? { color: "#fff", size: 7 } : { color: "#000", size: 1 });
    });
    const tools = made("p", { className: "tools" }, rub,
      button("Undo", () => surface.undo()),
      button("Empty", () => (surface.remember(), clear(), this.ask(canvas))),
      button("Another face to begin with", begin));
    this.link = made("a", { className: "download", textContent: "Download", download: "portrait.png", hidden: true });
    this.append(made("div", { className: "pair" }, canvas, this.shown), tools, made("p", { className: "links" }, this.link, this.told));
    new IntersectionObserver((seen, observer) => {
      if (seen.some((each) => each.isIntersecting)) observer.disconnect(), begin();
    }).observe(this);
  }
  /* One request at a time; what was drawn meanwhile is sent when it is answered. */
  async ask(canvas) {
    this.waiting = true;
    if (this.busy) return;
    this.busy = true;
    while (this.waiting) {
      this.waiting = false;
      const begun = performance.now();
      const form = new FormData();
      form.append("image", await new Promise((done) => canvas.toBlob(done, "image/png")), "drawing.png");
      form.append("options", JSON.stringify({ model: this.getAttribute("model"), drawing: true }));
      try {
        const answer = await fetch("/v1/translate", { method: "POST", body: form });
        if (!answer.ok || !answer.headers.get("content-type").startsWith("image/")) throw new Error((await answer.json()).detail ?? "it takes longer");
        if (this.shown.src) URL.revokeObjectURL(this.shown.src);
        this.shown.src = this.link.href = URL.createObjectURL(await answer.blob());
        this.link.hidden = false;
        this.told.textContent = `${((performance.now() - begun) / 1000).toFixed(2)} s`;
        fetch(answer.headers.get("location"), { method: "DELETE" }).catch(() => {});
      } catch (error) {
        this.told.textContent = error.message;
      }
    }
    this.busy = false;
  }
}

customElements.define("sl-brush", Brush);
customElements.define("sl-faces", Faces);
customElements.define("sl-draw", Draw);
