// Requests to the master. One without an answer ends: a page stays open while networks come and go.
export async function fetchFrom(base, path, { longestS = 10, ...options } = {}) {
  return named(longestS, () => fetch(new URL(path, base), { cache: "no-store", signal: AbortSignal.timeout(longestS * 1000), ...options }));
}

export async function ask(base, path, { longestS = 10, ...options } = {}) {
  const response = await fetchFrom(base, path, { longestS, ...options });
  if (response.redirected || !response.ok) throw new Error(response.redirected ? "log in again" : response.statusText);
  return named(longestS, () => response.json());
}

async function named(longestS, answer) {
  try {
    return await answer();
  } catch (error) {
    throw error.name === "TimeoutError" ? new Error(`no answer within ${longestS} s`) : error;
  }
}
