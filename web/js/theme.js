/** The theme: as the system says, or as the reader chose. */

/** @typedef {'auto' | 'light' | 'dark'} Theme */

/** @returns {Theme} */
export function theme() {
  const kept = localStorage.getItem('theme');
  return kept === 'light' || kept === 'dark' ? kept : 'auto';
}

/** @param {Theme} chosen */
export function chooseTheme(chosen) {
  localStorage.setItem('theme', chosen);
  applyTheme();
}

/** Puts the chosen theme on the page. */
export function applyTheme() {
  const chosen = theme();
  if (chosen === 'auto') {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = chosen;
  }
}
