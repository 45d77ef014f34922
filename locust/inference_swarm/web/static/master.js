// Requests to the master. One without an answer ends: a page stays open while networks come and go.
export async function fetchFrom(base, path, { longestS = 10, ...options } = {}) {
  try {
    return await fetch(new URL(path, base), { cache: "no-store", signal: AbortSignal.timeout(longestS * 1000), ...options });
  } catch (error) {
    throw error.name === "TimeoutError" ? new Error(`no answer within ${longestS} s`) : error;
  }
}

export async function ask(base, path, options) {
  const response = await fetchFrom(base, path, options);
  if (response.redirected || !response.ok) throw new Error(response.redirected ? "log in again" : response.statusText);
  return response.json();
}
