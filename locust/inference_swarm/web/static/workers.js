// The rows of the table of workers. Their order, and what is summed by host, is the master's.
import * as format from "./format.js";

export const workerRows = (workers) => workers.map(cells);

function nameOf({ id, workers, hosts }) {
  if (hosts > 1) return `${format.count(workers)} others on ${format.count(hosts)} hosts`;
  return workers > 1 ? `${id}: ${format.count(workers)} workers` : id.replace(/_([0-9a-f]{8})[0-9a-f]{24}$/, "_$1");
}

function cells(worker) {
  const { shard } = worker;
  return [
    { text: nameOf(worker), hint: worker.id },
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
