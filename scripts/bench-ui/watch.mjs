// Measurements inside a page. `watch` runs before the page's own scripts and sets `window.bench`.

/** @param first Selector of the element that the page is opened for. */
export function watch(first) {
  const bench = { tasks: [], longFrames: [], input: 0 };
  window.bench = bench;
  performance.setResourceTimingBufferSize(5000);
  const keep = (into, type) =>
    new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) into.push({ startTime, duration });
    }).observe({ type, buffered: true });
  keep(bench.tasks, 'longtask');
  keep(bench.longFrames, 'long-animation-frame');
  for (const type of ['click', 'keydown']) {
    addEventListener(type, (event) => (bench.input = event.timeStamp), { capture: true });
  }

  // A message posted in an animation frame is delivered right after that frame is painted.
  const painted = () =>
    new Promise((resolve) => {
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => resolve(performance.now());
        port2.postMessage(null);
      });
    });
  bench.painted = painted;

  /** Waits for an element, with exactly this text if given. Resolves to when it was inserted and painted. */
  bench.shown = (selector, text) =>
    new Promise((resolve) => {
      const look = () => {
        const found = [...document.querySelectorAll(selector)];
        if (!found.some((element) => text === undefined || element.textContent === text)) return false;
        observer.disconnect();
        const inserted = performance.now();
        painted().then((at) => resolve({ inserted, painted: at }));
        return true;
      };
      const observer = new MutationObserver(look);
      if (!look()) observer.observe(document, { childList: true, subtree: true, characterData: true });
    });

  /** Resolves to when the next input into a field was painted. */
  bench.echoed = () =>
    new Promise((resolve) =>
      addEventListener('input', () => painted().then(resolve), { capture: true, once: true }),
    );

  /** Waits until the page had no long task and no request for `ms`. Resolves to the end of its last long task. */
  bench.quiet = async (ms) => {
    const since = performance.now();
    let asked = -1;
    let changed = since;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const now = performance.now();
      const count = performance.getEntriesByType('resource').length;
      if (count !== asked) [asked, changed] = [count, now];
      const last = bench.tasks.at(-1);
      const worked = last ? last.startTime + last.duration : 0;
      if (now - Math.max(worked, changed, since) >= ms) return worked;
    }
  };

  /** Records the times between frames. The returned function stops and returns them. */
  bench.frames = () => {
    const times = [];
    let last;
    let on = true;
    const next = (now) => {
      if (last !== undefined) times.push(now - last);
      last = now;
      if (on) requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
    return () => {
      on = false;
      return times;
    };
  };

  /** Requests after a time whose path has this prefix: start of the first, end of the last, and their number. */
  bench.requests = (path, after) => {
    const all = performance.getEntriesByType('resource');
    const those = all.filter(
      ({ name, startTime }) => startTime >= after && name.slice(location.origin.length).startsWith(path),
    );
    const answered = Math.max(...those.map((one) => one.responseEnd));
    return { asked: Math.min(...those.map((one) => one.startTime)), answered, count: those.length };
  };

  bench.first = bench.shown(first);
}
