// What the page is made of may fail to load, where a network changes or a new version comes just then. Nothing would be shown at
// all: it is loaded again, a few times. A file of its own because the Content-Security-Policy lets no inline script run.
(() => {
  const failed = (event) => {
    if (!(event.target instanceof HTMLElement) || document.getElementById('root')?.hasChildNodes()) return;
    let tries = 3;
    try {
      tries = Number(sessionStorage.getItem('clawdeploy.again'));
      sessionStorage.setItem('clawdeploy.again', String(tries + 1));
    } catch {
      // Nobody would count: then a person has to.
    }
    if (tries < 3) setTimeout(() => location.reload(), 500 * 2 ** tries);
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
