/**
 * Fetches what belongs to frames: those wanted most first, a few at once, and keeps what was used
 * last.
 */

/**
 * A cache by the index of the frame, with a limit of bytes.
 * @template T
 */
export class Loader {
  /**
   * @param {object} options
   * @param {(index: number, signal: AbortSignal) => Promise<T>} options.load - one frame.
   * @param {(value: T, index: number) => boolean} options.isFresh - whether a value need not be
   *   loaded again.
   * @param {(value: T) => number} options.size - in bytes.
   * @param {number} options.limit - of the bytes that are kept.
   * @param {number} options.parallel - loads at once.
   * @param {(index: number) => void} options.onLoad
   * @param {(error: any) => void} options.onError
   */
  constructor({ load, isFresh, size, limit, parallel, onLoad, onError }) {
    this.load = load;
    this.isFresh = isFresh;
    this.size = size;
    this.limit = limit;
    this.parallel = parallel;
    this.onLoad = onLoad;
    this.onError = onError;
    /** The last used comes last. @type {Map<number, T>} */
    this.values = new Map();
    this.bytes = 0;
    /** @type {number[]} */
    this.queue = [];
    /** Frames that were the first to be wanted. @type {Set<number>} */
    this.urgent = new Set();
    /** @type {Map<number, AbortController>} */
    this.running = new Map();
  }

  /**
   * Return what is kept of a frame, be it fresh or not.
   * @param {number} index
   * @returns {T|undefined}
   */
  get(index) {
    const value = this.values.get(index);
    if (value !== undefined) {
      this.values.delete(index);
      this.values.set(index, value);
    }
    return value;
  }

  /** @param {number} index @returns {boolean} whether nothing has to be loaded for a frame. */
  has(index) {
    const value = this.values.get(index);
    return value !== undefined && this.isFresh(value, index);
  }

  /**
   * Keep a value.
   * @param {number} index
   * @param {T} value
   */
  put(index, value) {
    const old = this.values.get(index);
    if (old !== undefined) this.bytes -= this.size(old);
    this.values.delete(index);
    this.values.set(index, value);
    this.bytes += this.size(value);
    for (const [key, kept] of this.values) {
      if (this.bytes <= this.limit || this.values.size <= 2) break;
      this.values.delete(key);
      this.bytes -= this.size(kept);
    }
  }

  /**
   * Load these frames, the first ones first, and no others but those that once were the first, as
   * they are looked at while the user drags along the timeline.
   * @param {number[]} indices
   */
  want(indices) {
    this.queue = indices.filter((each) => !this.has(each) && !this.running.has(each));
    const wanted = new Set(indices);
    for (const [index, abort] of this.running) {
      if (!wanted.has(index) && !this.urgent.has(index)) abort.abort();
    }
    for (const index of this.urgent) if (!this.running.has(index)) this.urgent.delete(index);
    this.urgent.add(indices[0]);
    this._start();
  }

  _start() {
    while (this.queue.length && this.running.size < this.parallel) {
      const index = this.queue.shift();
      if (!this.running.has(index)) this._run(index);
    }
  }

  async _run(index) {
    const abort = new AbortController();
    this.running.set(index, abort);
    try {
      this.put(index, await this.load(index, abort.signal));
      this.running.delete(index);
      this.urgent.delete(index);
      this.onLoad(index);
    } catch (error) {
      this.running.delete(index);
      this.urgent.delete(index);
      if (!abort.signal.aborted) this.onError(error);
    }
    this._start();
  }
}
