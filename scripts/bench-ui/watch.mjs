// What looks on from inside of a page. `watch` is put into it before any script of its own, and leaves `window.bench`.

/** @param first Selector of what the page is opened for. */
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

  // What is posted from within a frame is heard right after that frame was painted.
  const painted = () =>
    new Promise((resolve) => {
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => resolve(performance.now());
        port2.postMessage(null);
      });
    });
  bench.painted = painted;

  /** When something is in the page, with exactly that text if one is said, and when it was painted. */
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

  /** When what was typed stands in the field, painted. */
  bench.echoed = () =>
    new Promise((resolve) =>
      addEventListener('input', () => painted().then(resolve), { capture: true, once: true }),
    );

  /** Waits until the page neither works nor asks for anything for so long; when its last long task ended. */
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

  /** The times between frames, until the function that it returns is called. */
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

  /** Requests whose path begins so, that were made after a moment: when the first was made, the last answered, how many. */
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
