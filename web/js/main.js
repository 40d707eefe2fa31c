import { readAbout } from './api.js';

/** Shows which server this is. */
async function start() {
  const main = document.getElementById('main');
  if (main === null) return;
  try {
    const about = await readAbout();
    main.textContent = `Tally ${about.version}`;
  } catch (error) {
    main.textContent = `This server could not be reached: ${error}`;
  }
}

start();
