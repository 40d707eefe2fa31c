import { settingsPage } from './pages/settings.js';

/** The part of the page that holds the settings, which most visits do not need. */
export const openSettings = settingsPage;
