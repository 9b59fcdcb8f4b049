// Before the first paint, and a file of its own because the Content-Security-Policy lets no inline script run.
(() => {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    let choice = null;
    try {
      choice = localStorage.getItem('clawdeploy.theme');
    } catch {
      // Storage may be forbidden: then the system's theme it is.
    }
    const theme = choice === 'light' || choice === 'dark' ? choice : dark.matches ? 'dark' : 'light';
    document.documentElement.dataset.theme = theme;
  };
  apply();
  dark.addEventListener('change', apply);
  addEventListener('storage', apply);
  addEventListener('clawdeploy:theme', apply);
})();
