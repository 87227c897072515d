/**
 * Keeps the rows of the timeline up to date, a few times a second at most.
 */

import { api } from "./api.js";

const PAUSE = 300; // milliseconds between two requests

/** Fetches the timeline whenever the session has changed. */
export class TimelineFeed {
  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.revision = -1;
    this.waits = false;
  }

  /** Fetch it, unless it is known or a request is on its way. */
  async refresh() {
    if (this.waits || this.revision === this.model.session.revision) return;
    this.waits = true;
    const { revision } = this.model.session;
    try {
      this.model.set({ timeline: await api.timeline() });
      this.revision = revision;
      document.body.dataset.revision = String(revision); // for tests
    } catch {
      // A lost server is shown elsewhere; the next state asks again.
    }
    setTimeout(() => {
      this.waits = false;
      this.refresh();
    }, PAUSE);
  }
}
