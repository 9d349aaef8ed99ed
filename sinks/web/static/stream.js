// What the server tells: the whole fleet once, then batches of changes, for as long as the page is open.

const SILENT_MS = 15_000; // the server says something every five seconds
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15_000;
const HIDDEN_MS = 60_000; // a browser has six connections to a server for all its tabs: who is not looked at gives his back

export class Stream {
  /**
   * @param take called with each batch
   * @param stand called with "live" or "lost" when that changes
   */
  constructor(take, stand) {
    this.take = take;
    this.stand = stand;
    this.known = "";
    this.isPaused = false;
    this.retryMs = FIRST_RETRY_MS;
  }

  /** Fetch the fleet, then listen; again and again where that fails. */
  async start() {
    try {
      const answer = await fetch("/api/fleet");
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      this.#taken(await answer.json());
      if (!this.isPaused) this.#listen();
    } catch (error) {
      console.warn("Abdrift:", error);
      this.#lost();
      this.#later(() => this.start());
    }
  }

  /** Stop while nobody looks, and go on where it was when somebody does. */
  rest() {
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.hiding);
      if (document.hidden) this.hiding = setTimeout(() => this.#pause(), HIDDEN_MS);
      else this.#resume();
    });
    addEventListener("pagehide", () => this.#pause());
    addEventListener("pageshow", (event) => event.persisted && this.#resume());
  }

  #pause() {
    this.isPaused = true;
    this.events?.close();
    clearTimeout(this.silence);
    clearTimeout(this.retry);
    this.stand("waiting");
  }

  #resume() {
    if (!this.isPaused) return;
    this.isPaused = false;
    if (this.known) this.#listen();
    else this.start();
  }

  #listen() {
    this.events?.close();
    const events = new EventSource(`/api/events?since=${encodeURIComponent(this.known)}`);
    this.events = events;
    this.#watch();
    events.onmessage = (message) => this.#taken(JSON.parse(message.data));
    events.onerror = () => {
      this.#lost();
      // A browser tries again by itself, but not after an answer that is no stream, such as 503 or 401.
      if (events.readyState === EventSource.CLOSED) this.#later(() => this.#listen());
    };
  }

  #taken(batch) {
    this.take(batch);
    this.known = `${batch.epoch}-${batch.version}`;
    this.retryMs = FIRST_RETRY_MS;
    this.stand("live");
    this.#watch();
  }

  /** A connection that is dead without anybody saying so is known by its silence. */
  #watch() {
    clearTimeout(this.silence);
    if (this.isPaused) return;
    this.silence = setTimeout(() => {
      this.#lost();
      this.#listen();
    }, SILENT_MS);
  }

  #lost() {
    this.stand("lost");
  }

  #later(work) {
    clearTimeout(this.silence);
    clearTimeout(this.retry);
    this.retry = setTimeout(work, this.retryMs * (0.5 + Math.random()));
    this.retryMs = Math.min(LAST_RETRY_MS, this.retryMs * 2);
  }
}
