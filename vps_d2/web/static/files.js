/**
 * The dialogs to export and to import masks.
 */

import { api } from "./api.js";
import { byId, make } from "./dom.js";
import { attempt, toast } from "./messages.js";

/** @type {Array<{form: string, name: string, facts: string}>} */
const FORMS = [
  {
    form: "dataset",
    name: "Training data",
    facts: "frames, class maps and identities, to train on",
  },
  {
    form: "palette",
    name: "Palette PNGs",
    facts: "a PNG a frame with object numbers, as DAVIS has",
  },
  {
    form: "binary",
    name: "Binary PNGs",
    facts: "a folder of black and white PNGs for each object",
  },
  { form: "coco", name: "COCO", facts: "JSON with RLE masks; track_id says which object it is" },
  { form: "ytvis", name: "YouTube-VIS", facts: "JSON with a track for each object" },
  { form: "overlay", name: "Video", facts: "an MP4 of the video with its objects tinted" },
];

/** Both dialogs. */
export class Files {
  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.exporting = byId("export-dialog");
    this.importing = byId("import-dialog");
    /** Form of the export that was begun here, to be downloaded when it is there. */
    this.awaited = /** @type {{id: any, form: string}|null} */ (null);
    FORMS.forEach(({ form, name, facts }, k) => {
      const radio = make("input", { type: "radio", name: "form", value: form, checked: k === 0 });
      const label = make("label", { class: "form" }, radio, make("span", { text: name }));
      label.append(make("span", { class: "faint", text: facts }));
      byId("export-forms").append(label);
    });
    byId("export-start").addEventListener("click", (event) => this._export(event));
    byId("import-start").addEventListener("click", (event) => this._import(event));
    model.on(["session"], () => this._showExports());
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => this._drop(event));
  }

  /** Open the dialog to export. */
  openExport() {
    this.exporting.showModal();
    this.exporting.querySelector("input:checked").focus();
  }

  /** Open the dialog to import. */
  openImport() {
    byId("import-frame").value = String(this.model.frame + 1);
    byId("import-frame").max = String(this.model.numFrames);
    this.importing.showModal();
  }

  async _export(event) {
    event.preventDefault();
    const { form } = Object.fromEntries(new FormData(this.exporting.querySelector("form")));
    const job = await attempt(() => api.export(String(form)));
    if (!job) return;
    this.awaited = { id: job.id, form: String(form) };
    this._showExports();
  }

  _showExports() {
    const { job, exports } = this.model.session;
    const isExporting = job?.kind === "export" && job.state === "running";
    byId("export-start").disabled = isExporting;
    byId("export-start").textContent = isExporting ? "Exporting…" : "Export";
    byId("exports-title").hidden = !exports.length;
    const links = exports.map(({ id, name, bytes }) => {
      const link = make("a", { href: api.exportAddress(id), download: name, text: name });
      return make("li", {}, link, make("span", { class: "faint", text: formatBytes(bytes) }));
    });
    byId("exports").replaceChildren(...links);
    if (!this.awaited || job?.id !== this.awaited.id || job.state === "running") return;
    const { form } = this.awaited;
    this.awaited = null;
    const found = exports.find((each) => each.form === form);
    if (job.state === "finished" && found) {
      make("a", { href: api.exportAddress(found.id), download: found.name }).click();
      toast(`Downloading ${found.name} (${formatBytes(found.bytes)}).`);
    }
  }

  async _import(event) {
    const file = byId("import-file").files[0];
    if (!file || !byId("import-frame").checkValidity()) return; // the browser says what is missing
    event.preventDefault();
    await this._send(file, Number(byId("import-frame").value) - 1);
  }

  async _send(file, frame) {
    const job = await attempt(() => api.import(file, frame));
    if (!job) return;
    this.importing.close();
    byId("import-file").value = "";
  }

  /** A file that is dropped on the page is imported, once the user has agreed in the dialog. */
  _drop(event) {
    event.preventDefault();
    if (!event.dataTransfer?.files.length) return;
    if (!this.importing.open) this.openImport();
    byId("import-file").files = event.dataTransfer.files;
  }
}

/** @param {number} bytes @returns {string} */
function formatBytes(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  const power = Math.min(3, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toPrecision(3)} ${["", "kB", "MB", "GB"][power]}`;
}
