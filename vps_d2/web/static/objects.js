/**
 * The list of objects: choose, name, hide and delete them.
 */

import { api } from "./api.js";
import { byId, make, makeIcon } from "./dom.js";
import { attempt, speak, toast } from "./messages.js";

/** The panel with the objects. */
export class ObjectList {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./strokes.js").Strokes} strokes
   * @param {() => void} undo - offered after an object was deleted.
   */
  constructor(model, strokes, undo) {
    this.model = model;
    this.strokes = strokes;
    this.undo = undo;
    this.list = byId("objects");
    /** Shown items, by number; null is the one for a new object. @type {Map<number|null, any>} */
    this.items = new Map();
    byId("add-object").addEventListener("submit", (event) => this._add(event));
    model.on(["session", "chosen", "hidden"], () => this._show());
    model.on(["chosen"], () => this.items.get(model.chosen)?.scrollIntoView({ block: "nearest" }));
  }

  _show() {
    const { model, items, list } = this;
    const numbers = [...model.objects.map((each) => each.number), null];
    for (const [number, item] of items) {
      if (numbers.includes(number)) continue;
      item.remove();
      items.delete(number);
    }
    numbers.forEach((number, place) => {
      if (!items.has(number))
        items.set(number, number === null ? this._makeNew() : this._make(number));
      const item = items.get(number);
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
      this._update(number, item);
    });
    const count = model.objects.length;
    byId("object-count").textContent = count ? String(count) : "";
    const names = [...new Set(model.objects.map((each) => each.name))].sort();
    byId("class-names").replaceChildren(...names.map((value) => make("option", { value })));
  }

  _make(number) {
    const choose = () => this.model.set({ chosen: number });
    const pick = make("button", { class: "pick", type: "button", click: choose });
    pick.append(make("span", { class: "dot" }), make("span", { text: String(number) }));
    const rename = (event) => this._rename(number, event.target);
    const name = make("input", {
      list: "class-names",
      maxlength: 100,
      autocomplete: "off",
      spellcheck: "false",
      change: rename,
      "aria-label": `Class of object ${number}`,
      focus: choose,
      keydown: (event) => {
        if (event.key === "Enter" || event.key === "Escape") {
          if (event.key === "Escape") name.value = this.model.object(number).name;
          name.blur();
          byId("stage").focus({ focusVisible: false });
        }
      },
    });
    const hide = make("button", {
      class: "hide",
      type: "button",
      click: () => this.toggle(number),
    });
    const remove = make("button", {
      class: "delete",
      type: "button",
      click: () => this.remove(number),
    });
    remove.append(makeIcon("trash"));
    return make("li", { class: "object" }, pick, name, hide, remove);
  }

  _makeNew() {
    const choose = () => this.strokes.beginObject();
    const title = "The next click or stroke begins a new object (N)";
    const pick = make("button", { class: "pick", type: "button", title, click: choose });
    pick.append(make("span", { class: "dot new" }), make("span", { text: "New object" }));
    return make("li", { class: "object none" }, pick);
  }

  _update(number, item) {
    const { model } = this;
    const isChosen = number === model.chosen;
    const [pick, name, hide, remove] = item.children;
    item.classList.toggle("chosen", isChosen);
    pick.setAttribute("aria-pressed", String(isChosen));
    if (number === null) return;
    const object = model.object(number);
    const isHidden = model.hidden.has(number);
    item.classList.toggle("off", isHidden);
    pick.firstChild.style.background = object.color;
    pick.setAttribute("aria-label", `Choose object ${number}, ${object.name}`);
    pick.title = number < 10 ? `Choose (${number})` : `Choose (type ${number})`;
    if (document.activeElement !== name) name.value = object.name;
    if (hide.dataset.hidden !== String(isHidden)) {
      hide.replaceChildren(makeIcon(isHidden ? "hidden" : "eye"));
      hide.dataset.hidden = String(isHidden);
    }
    hide.setAttribute("aria-pressed", String(isHidden));
    hide.setAttribute("aria-label", `Hide object ${number}, ${object.name}`);
    hide.title = isHidden ? "Show (V)" : "Hide (V)";
    remove.setAttribute("aria-label", `Delete object ${number}, ${object.name}`);
    remove.title = "Delete in all frames (Delete)";
  }

  async _add(event) {
    event.preventDefault();
    const field = byId("class-name");
    const name = field.value.trim();
    if (!name) {
      field.focus();
      return;
    }
    const answer = await attempt(() => api.addObject(name));
    if (!answer) return;
    field.value = "";
    this.model.set({ chosen: answer.number });
    speak(`Object ${answer.number}, ${name}, was added.`);
    byId("stage").focus({ focusVisible: false });
  }

  async _rename(number, field) {
    const name = field.value.trim();
    const object = this.model.object(number);
    if (!object || name === object.name) return;
    if (!name || !(await attempt(async () => (await api.renameObject(number, name), true)))) {
      field.value = object.name;
    }
  }

  /** Let the user type the class of the chosen object. */
  editName() {
    const name = this.items.get(this.model.chosen)?.querySelector("input") ?? byId("class-name");
    name.focus();
    name.select();
  }

  /** Hide or show an object. @param {number|null} number */
  toggle(number) {
    if (number === null) return;
    const hidden = new Set(this.model.hidden);
    if (!hidden.delete(number)) hidden.add(number);
    this.model.set({ hidden });
  }

  /** Delete an object in all frames. @param {number|null} number */
  async remove(number) {
    const object = this.model.object(number);
    if (!object) return;
    const done = await attempt(async () => (await api.removeObject(number), true));
    if (!done) return;
    const text = `${object.name} ${number} was deleted in all frames.`;
    toast(text, { action: { label: "Undo", run: this.undo } });
  }

  /** Choose the object before or after the chosen one. @param {1|-1} step */
  move(step) {
    const numbers = [...this.items.keys()];
    const place = numbers.indexOf(this.model.chosen) + step;
    const number = numbers[(place + numbers.length) % numbers.length];
    if (number === null) this.strokes.beginObject();
    else this.model.set({ chosen: number });
  }
}
