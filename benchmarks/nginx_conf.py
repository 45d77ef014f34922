"""The configuration of the nginx that benchmarks load: one worker, a fixed response, its own counts at /_count."""

from __future__ import annotations

from pathlib import Path

ANSWER = '{"predictions":[0]}'
NGINX_CONF = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
http {{
  {formats}
  access_log off; keepalive_requests 1000000000; client_body_buffer_size 64k; keepalive_timeout 3600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=16384 {tls};
    {certificate}
    location / {{ {log} default_type application/json; return 200 '{answer}'; }}
    # As behind a mesh or a gateway: the head of every response is another one, and so is its length.
    location {mesh}/ {{
      default_type application/json; return 200 '{answer}';
      add_header x-request-id $request_id; add_header x-envoy-upstream-service-time $connection_requests;
    }}
    location = /_count {{ stub_status; }}
  }}
}}
"""
# A line for the first request of each connection: when it was answered.
FORMATS = "log_format instant $msec; map $connection_requests $is_first { 1 1; default 0; }"


def nginx_conf(folder: Path, port: int, *, tls: str, certificate: str, mesh: str, first_log: Path | None) -> str:
    """Return the text of nginx.conf."""
    return NGINX_CONF.format(
        folder=folder,
        port=port,
        tls=tls,
        certificate=certificate,
        answer=ANSWER,
        mesh=mesh,
        formats="" if first_log is None else FORMATS,
        log="" if first_log is None else f"access_log {first_log} instant if=$is_first;",
    )
