// The rows of the table of workers: those in trouble first; of many workers one row a host.
import * as format from "./format.js";

const MAX_SINGLE = 20;

export function workerRows(workers) {
  const sorted = [...workers].sort((one, other) => trouble(other) - trouble(one) || one.id.localeCompare(other.id));
  if (sorted.length <= MAX_SINGLE) return sorted.map(cells);
  const single = sorted.filter(trouble).slice(0, MAX_SINGLE);
  const rest = sorted.filter((worker) => !single.includes(worker));
  return [...single, ...[...groupedByHost(rest)].map(([host, group]) => (group.length === 1 ? group[0] : summed(host, group)))].map(cells);
}

// Gone, loading, late, busy: what is worse counts more than all that is less bad.
function trouble(worker) {
  const isLoading = worker.shard && !worker.shard.is_ready;
  return (worker.state === "missing" ? 8 : 0) + (isLoading ? 4 : 0) + (isLate(worker) ? 2 : 0) + (isBusy(worker) ? 1 : 0);
}

const isLate = (worker) => worker.loop_lag_p99_ms >= 10;
const isBusy = (worker) => worker.cpu_percent >= 90;
const hostOf = (worker) => worker.id.replace(/_[0-9a-f]{8}$/, "");

function groupedByHost(workers) {
  const groups = new Map();
  for (const worker of workers) groups.set(hostOf(worker), [...(groups.get(hostOf(worker)) ?? []), worker]);
  return groups;
}

// Sums of a host's workers; of CPU and lag the worst.
function summed(host, group) {
  const sum = (read) => group.reduce((total, worker) => total + (read(worker) ?? 0), 0);
  const worst = (read) => Math.max(...group.map((worker) => read(worker) ?? 0));
  const states = [...new Set(group.map((worker) => worker.state))].map((state) => {
    const count = group.filter((worker) => worker.state === state).length;
    return count === group.length ? state : `${count} ${state}`;
  });
  const hasRows = group.some((worker) => worker.shard);
  return {
    id: `${host}: ${group.length} workers`,
    state: states.join(", "),
    users: sum((worker) => worker.users),
    rate_rps: sum((worker) => worker.rate_rps),
    cpu_percent: worst((worker) => worker.cpu_percent),
    loop_lag_p99_ms: worst((worker) => worker.loop_lag_p99_ms),
    shard: hasRows && {
      rows: sum((worker) => worker.shard?.rows),
      ready_rows: sum((worker) => worker.shard?.ready_rows),
      ready_bytes: sum((worker) => worker.shard?.ready_bytes),
      blocks: sum((worker) => worker.shard?.blocks),
      is_ready: true,
    },
  };
}

function cells(worker) {
  const { shard } = worker;
  return [
    { text: worker.id.replace(/_([0-9a-f]{8})[0-9a-f]{24}$/, "_$1"), hint: worker.id },
    { text: shard && !shard.is_ready ? `${worker.state}, loading` : worker.state, className: worker.state === "missing" ? "bad" : "" },
    format.count(shard?.rows),
    format.count(shard?.ready_rows),
    format.bytes(shard?.ready_bytes),
    format.count(shard?.blocks),
    format.count(worker.users),
    { text: format.rate(worker.rate_rps), value: worker.rate_rps },
    { text: format.percent(worker.cpu_percent), className: isBusy(worker) ? "bad" : "" },
    { text: format.ms(worker.loop_lag_p99_ms), className: isLate(worker) ? "bad" : "" },
  ];
}
