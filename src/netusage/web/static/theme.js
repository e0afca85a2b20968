// The colours: as chosen in the settings, or as the system has them. Runs before anything is painted.
{
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    let chosen;
    try {
      chosen = JSON.parse(localStorage.getItem('netusage.settings') || '{}').theme;
    } catch {
      // without storage the system's preference holds
    }
    const theme = chosen === 'light' || chosen === 'dark' ? chosen : dark.matches ? 'dark' : 'light';
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new Event('theme'));
  };
  apply();
  dark.addEventListener('change', apply);
  document.addEventListener('settings', apply);
}
