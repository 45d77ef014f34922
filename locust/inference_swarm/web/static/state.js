// The master's state, read every 2 s while the page can be seen: once for all parts of the page that show it.
import { ask } from "./master.js";

const PERIOD_MS = 2000;
const readers = new Set();
let timer = 0;
let isReading = false;

// Calls `onState` with each state, `onTrouble` with the words when there is none. Returns what ends it.
export function watchState(base, onState, onTrouble = () => {}) {
  const reader = { onState, onTrouble };
  readers.add(reader);
  const look = () => document.hidden || read(base);
  if (!timer) {
    timer = setInterval(look, PERIOD_MS);
    document.addEventListener("visibilitychange", look);
  }
  read(base);
  return () => readers.delete(reader);
}

async function read(base) {
  if (!readers.size || isReading) return;
  isReading = true;
  let state;
  try {
    state = await ask(base, "state");
  } catch (error) {
    readers.forEach(({ onTrouble }) => onTrouble(error.message));
    return;
  } finally {
    isReading = false;
  }
  readers.forEach(({ onState }) => onState(state));
}
