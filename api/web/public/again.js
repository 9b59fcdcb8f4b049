// What the page is made of may fail to load, where a network changes or a new version comes just then. It is asked for again, a few
// times. A file of its own because the Content-Security-Policy lets no inline script run.
(() => {
  const TRIES = 3;
  const pause = (tries) => 500 * 2 ** tries;
  const isShown = () => document.getElementById('root')?.hasChildNodes();
  let isDue = false;

  /** Without styles the page is there all the same, and somebody may have typed something. */
  const restyle = (link) => {
    const tries = Number(link.dataset.tries ?? 0);
    if (tries >= TRIES) return;
    const next = link.cloneNode();
    next.dataset.tries = tries + 1;
    setTimeout(() => link.replaceWith(next), pause(tries));
  };

  /** Without a script nothing is shown at all. */
  const reload = () => {
    if (isDue || isShown()) return;
    isDue = true;
    let tries = TRIES;
    try {
      tries = Number(sessionStorage.getItem('clawdeploy.again'));
      sessionStorage.setItem('clawdeploy.again', String(tries + 1));
    } catch {
      // Nobody would count: then a person has to.
    }
    if (tries < TRIES) setTimeout(() => isShown() || location.reload(), pause(tries));
  };

  const failed = ({ target }) => {
    if (target instanceof HTMLLinkElement && target.rel === 'stylesheet') restyle(target);
    else if (target instanceof HTMLElement) reload();
  };
  addEventListener('error', failed, true);
  setTimeout(() => {
    try {
      sessionStorage.removeItem('clawdeploy.again');
    } catch {
      // There is nothing to forget.
    }
  }, 60_000);
})();
