/**
 * The API of the server, below the address of the page.
 *
 * @typedef {{number: number, name: string, color: string, maskColor?: string}} VideoObject
 *   its color on the page, and that in the masks of the server
 * @typedef {{id: string, kind: string, done: number, total: number|null, frame: number|null,
 *   state: "running"|"finished"|"cancelled"|"failed", message: string}} Job
 * @typedef {{points: number[][], positive: boolean, radius: number,
 *   tool: "click"|"scribble"|"paint"}} Stroke
 * @typedef {{touched: number[], runs: Array<[number, number, string]>}} TimelineRow
 */

const BASE = new URL("api/", document.baseURI);

/** What the server refused, or that it did not answer (status 0): one sentence for the user. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status - of HTTP; 0 without an answer.
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * Ask the server.
 * @param {string} path - below api/.
 * @param {RequestInit} [options] - as for fetch.
 * @returns {Promise<Response>} an answer that is no error.
 * @throws {ApiError}
 */
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(new URL(path, BASE), options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError("The server does not answer; what was not answered is not saved.", 0);
  }
  if (answer.ok) return answer;
  const content = await answer.json().catch(() => ({}));
  const sentence = content.error || `The server answered with error ${answer.status}.`;
  throw new ApiError(sentence, answer.status);
}

/**
 * Send a change.
 * @param {string} method - of HTTP.
 * @param {string} path
 * @param {any} [content] - sent as JSON; a form is sent as it is.
 * @returns {Promise<any>} the content of the answer.
 */
async function send(method, path, content) {
  const isForm = content instanceof FormData;
  const headers = content === undefined || isForm ? {} : { "Content-Type": "application/json" };
  const body = content === undefined || isForm ? content : JSON.stringify(content);
  const answer = await ask(path, { method, headers, body });
  const text = await answer.text();
  return text ? JSON.parse(text) : {};
}

/** Every call of the API; each may throw an {@link ApiError}. */
export const api = {
  /** @returns {Promise<any>} the state of the session. */
  state: async () => (await ask("state", { cache: "no-store" })).json(),

  /** @returns {Promise<{frames: number, objects: Object<string, TimelineRow>}>} */
  timeline: async () => (await ask("timeline", { cache: "no-store" })).json(),

  /**
   * @param {number} frame
   * @returns {Promise<Object<string, Stroke[]>>} by the number of the object.
   */
  strokes: async (frame) => (await ask(`strokes/${frame}`, { cache: "no-store" })).json(),

  /**
   * @param {number} frame
   * @param {number|null} rows - its height; null for that of the video.
   * @param {AbortSignal} [signal]
   * @returns {Promise<Blob>} a picture.
   */
  frame: async (frame, rows, signal) =>
    (await ask(`frames/${frame}.jpg${rows ? `?rows=${rows}` : ""}`, { signal })).blob(),

  /**
   * @param {number} frame
   * @param {number} revision - of the session.
   * @param {number|null} rows - as for a frame.
   * @param {AbortSignal} [signal]
   * @returns {Promise<Blob|null>} a PNG; null if nothing is known of the frame.
   */
  mask: async (frame, revision, rows, signal) => {
    const query = `revision=${revision}${rows ? `&rows=${rows}` : ""}`;
    const answer = await ask(`masks/${frame}.png?${query}`, { signal });
    return answer.status === 204 ? null : answer.blob();
  },

  /**
   * @param {number} frame
   * @param {number|null} object - null for a new one.
   * @param {Stroke[]} strokes
   * @returns {Promise<{object: number, revision: number, mask: string}>} the mask as Base64.
   */
  addStrokes: (frame, object, strokes) => send("POST", "strokes", { frame, object, strokes }),

  /** @param {string} name @returns {Promise<{number: number}>} */
  addObject: (name) => send("POST", "objects", { name }),
  /** @param {number} number @param {string} name */
  renameObject: (number, name) => send("PATCH", `objects/${number}`, { name }),
  /** @param {number} number */
  removeObject: (number) => send("DELETE", `objects/${number}`),

  /** @param {number} start @param {number|null} end @param {number[]|null} objects */
  clear: (start, end, objects) => send("POST", "clear", { start, end, objects }),
  undo: () => send("POST", "undo"),
  redo: () => send("POST", "redo"),

  /**
   * @param {{direction: string, start: number, end: number|null, objects: number[]|null}} request
   * @returns {Promise<Job>}
   */
  propagate: (request) => send("POST", "propagate", request),
  /** Go on with a propagation that was interrupted. @returns {Promise<Job>} */
  resume: () => send("POST", "resume"),
  cancel: () => send("POST", "cancel"),

  /** @param {string} form @returns {Promise<Job>} */
  export: (form) => send("POST", "export", { form }),

  /**
   * @param {File} file
   * @param {number} frame - of a single mask.
   * @returns {Promise<Job>}
   */
  import: (file, frame) => {
    const form = new FormData();
    form.append("frame", String(frame));
    form.append("file", file);
    return send("POST", "import", form);
  },

  /** @param {string} id @returns {string} the address of a finished export. */
  exportAddress: (id) => new URL(`exports/${encodeURIComponent(id)}`, BASE).href,
};

/**
 * Follow the state of the session, and try again when the server is lost.
 * @param {(state: any) => void} onState - called with each new state.
 * @param {(problem: string) => void} onProblem - called with a sentence when the server is lost,
 *   and with "" when it is back.
 */
export function followState(onState, onProblem) {
  const retry = 1500; // milliseconds
  const events = new EventSource(new URL("events", BASE));
  events.addEventListener("state", (event) => {
    onProblem("");
    onState(JSON.parse(event.data));
  });
  events.addEventListener("error", async () => {
    events.close();
    onProblem(await explainLoss());
    setTimeout(() => followState(onState, onProblem), retry);
  });
  addEventListener("pagehide", () => events.close(), { once: true });
}

/** @returns {Promise<string>} why the server is lost, in one sentence. */
async function explainLoss() {
  try {
    await api.state();
  } catch (error) {
    if (error.status === 404) return "This address has expired; open the one printed last.";
  }
  return "The server does not answer; trying again.";
}
