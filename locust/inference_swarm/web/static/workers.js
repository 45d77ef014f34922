// The rows of the table of workers. Their order, and what is summed by host, is the master's.
import * as format from "./format.js";

export const COLUMNS = [
  { title: "Worker" }, { title: "State" }, { title: "Rows", number: true }, { title: "Ready", number: true },
  { title: "In memory", number: true }, { title: "Blocks", number: true }, { title: "Users", number: true },
  { title: "Requests/s", number: true }, { title: "CPU", number: true }, { title: "Loop lag p99", number: true },
];

export const workerRows = (workers) => workers.map(cells);

// A row that stands for several is a button, which shows them one by one; `host` is empty for those of several hosts.
function name({ id, workers, hosts }) {
  if (hosts > 1) return opener(`${format.count(workers)} others on ${format.count(hosts)} hosts`, "", "Show all workers");
  if (workers > 1) return opener(`${id}: ${format.count(workers)} workers`, id, `Show all workers of ${id}`);
  return { text: id.replace(/_([0-9a-f]{8})[0-9a-f]{24}$/, "_$1"), hint: id };
}

const opener = (text, host, label) => ({ text, press: { host, label }, hint: label });

function cells(worker) {
  const { shard } = worker;
  return [
    name(worker),
    { text: shard && !shard.is_ready ? `${worker.state}, loading` : worker.state, className: worker.state === "missing" ? "bad" : "" },
    format.count(shard?.rows),
    format.count(shard?.ready_rows),
    format.bytes(shard?.ready_bytes),
    format.count(shard?.blocks),
    format.count(worker.users),
    { text: format.rate(worker.rate_rps), value: worker.rate_rps },
    { text: format.percent(worker.cpu_percent), className: worker.is_busy ? "bad" : "" },
    { text: format.ms(worker.loop_lag_p99_ms), className: worker.is_late ? "bad" : "" },
  ];
}
