/** Tasks of which only some run at a time. */
export class RequestQueue {
  /** @param {number} most that run at a time */
  constructor(most) {
    this.most = most;
    this.running = 0;
    /** @type {Map<string, () => Promise<void>>} */
    this.waiting = new Map();
  }

  /**
   * Runs a task once there is room. It must not reject.
   *
   * @param {string} key a waiting task of the same key is replaced
   * @param {() => Promise<void>} task
   */
  add(key, task) {
    this.waiting.set(key, task);
    this.next();
  }

  /**
   * Takes a task away that waits.
   *
   * @param {string} key
   */
  drop(key) {
    this.waiting.delete(key);
  }

  next() {
    for (const [key, task] of this.waiting) {
      if (this.running >= this.most) {
        return;
      }
      this.waiting.delete(key);
      this.running += 1;
      task().finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }
}
