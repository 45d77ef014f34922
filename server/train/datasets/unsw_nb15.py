"""Schema of UNSW-NB15 (UNSW Canberra), train and test set merged: 257,673 rows, 45 columns, 64 % attacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from server.train.datasets.draws import Columns, draw_labels, pick

_Counts = npt.NDArray[np.int64]

TARGET = "label"
DROP = ("id", "attack_cat")  # a row number, and the name of the attack, which gives the label away
DEFAULT_ROWS = 8_000

_ATTACKS = {
    "Generic": 0.357,
    "Exploits": 0.27,
    "Fuzzers": 0.147,
    "DoS": 0.1,
    "Reconnaissance": 0.085,
    "Analysis": 0.016,
    "Backdoor": 0.014,
    "Shellcode": 0.009,
    "Worms": 0.001,
}
_OTHER_PROTOCOLS = ["unas", "arp", "ospf", "sctp", "any", "gre", "rsvp", "ipv6", "pim", "sun-nd", "swipe", "mobile"]
_TCP_SERVICES = {"-": 0.62, "http": 0.2, "ftp": 0.06, "smtp": 0.05, "ftp-data": 0.04, "pop3": 0.015, "ssh": 0.015}
_UDP_SERVICES = {"dns": 0.72, "-": 0.25, "snmp": 0.01, "radius": 0.01, "dhcp": 0.01}


@dataclass(frozen=True, slots=True)
class _Flows:
    """One value for each flow: what was sent and received, and how."""

    protocol: npt.NDArray[np.object_]
    service: npt.NDArray[np.object_]
    state: npt.NDArray[np.object_]
    is_answered: npt.NDArray[np.bool_]
    is_connected: npt.NDArray[np.bool_]
    sent: _Counts
    received: _Counts
    sent_bytes: _Counts
    received_bytes: _Counts
    duration_s: npt.NDArray[np.float64]
    source_ttl: _Counts
    target_ttl: _Counts
    recent: _Counts


def generate(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Attacks come as short one-way bursts with many earlier connections of the same kind, and with TTL 254."""
    flows = _draw_flows(rows, rng)
    label = draw_labels(rng, 1.1 * _score(flows), 0.639)
    return pd.DataFrame(
        {
            "id": np.arange(1, rows + 1),
            **_amounts(flows),
            **_times(flows, rng),
            **_earlier_flows(flows, rng),
            "attack_cat": np.where(label == 1, pick(rng, _ATTACKS, rows), "Normal"),
            "label": label,
        }
    )


def _draw_flows(rows: int, rng: np.random.Generator) -> _Flows:
    protocol = pick(rng, {"tcp": 0.48, "udp": 0.38, "other": 0.14}, rows)
    is_tcp, is_udp = protocol == "tcp", protocol == "udp"
    protocol = np.where(protocol == "other", rng.choice(_OTHER_PROTOCOLS, rows), protocol)
    service = np.where(is_tcp, pick(rng, _TCP_SERVICES, rows), np.where(is_udp, pick(rng, _UDP_SERVICES, rows), "-"))
    state = np.where(
        is_tcp,
        pick(rng, {"FIN": 0.93, "CON": 0.045, "REQ": 0.02, "RST": 0.005}, rows),
        np.where(is_udp, pick(rng, {"INT": 0.7, "CON": 0.3}, rows), "INT"),
    )
    is_answered = state != "INT"
    sent = np.where(is_answered, rng.lognormal(2.4, 0.9, rows), 2).round().clip(1, 10_646).astype(np.int64)
    received = np.where(is_answered, (sent * rng.uniform(0.5, 1.4, rows)), 0).round().astype(np.int64)
    return _Flows(
        protocol=protocol,
        service=service,
        state=state,
        is_answered=is_answered,
        is_connected=is_tcp & is_answered,
        sent=sent,
        received=received,
        sent_bytes=(sent * rng.lognormal(4.8, 0.7, rows)).round().astype(np.int64),
        received_bytes=(received * rng.lognormal(4.6, 1.1, rows)).round().astype(np.int64),
        duration_s=np.where(is_answered, rng.lognormal(-0.7, 1.2, rows), rng.integers(1, 12, rows) * 1e-6)
        .round(6)
        .clip(1e-6, 60),
        source_ttl=np.array([31, 62, 254])[rng.choice(3, rows, p=[0.12, 0.2, 0.68])],
        target_ttl=np.where(is_answered, np.array([29, 252])[rng.choice(2, rows, p=[0.3, 0.7])], 0),
        recent=rng.negative_binomial(0.9, 0.09, rows).clip(1, 63),
    )


def _score(flows: _Flows) -> npt.NDArray[np.float64]:
    """How much a flow looks like an attack."""
    score: npt.NDArray[np.float64] = (
        2.2 * (flows.source_ttl == 254)
        - 1.4 * (flows.source_ttl == 31)
        + 0.09 * flows.recent
        + 1.5 * (~flows.is_answered)
        + 1.2 * (flows.service == "dns")
        - 0.5 * np.log1p(flows.received_bytes / 400)
        + 0.8 * np.isin(flows.protocol, _OTHER_PROTOCOLS[:6])
    )
    return score


def _amounts(flows: _Flows) -> Columns:
    """From `dur` to `dloss`: packets, bytes and their rates."""
    duration_s = flows.duration_s
    return {
        "dur": duration_s,
        "proto": flows.protocol,
        "service": flows.service,
        "state": pd.Categorical(flows.state),
        "spkts": flows.sent,
        "dpkts": flows.received,
        "sbytes": flows.sent_bytes,
        "dbytes": flows.received_bytes,
        "rate": ((flows.sent + flows.received - 1).clip(0) / duration_s).round(6),
        "sttl": flows.source_ttl,
        "dttl": flows.target_ttl,
        "sload": (flows.sent_bytes * 8 / duration_s).round(6),
        "dload": (flows.received_bytes * 8 / duration_s).round(6),
        "sloss": np.where(flows.is_connected, flows.sent // 4, 0),
        "dloss": np.where(flows.is_connected, flows.received // 4, 0),
    }


def _times(flows: _Flows, rng: np.random.Generator) -> Columns:
    """From `sinpkt` to `response_body_len`: gaps between packets, the TCP handshake, sizes."""
    rows, connected = len(flows.sent), flows.is_connected
    handshake = np.where(connected, rng.gamma(2, 0.05, rows), 0.0).round(6)
    syn = (handshake * rng.uniform(0.3, 0.7, rows)).round(6)
    window = np.where(connected, 255, 0)
    is_http = flows.service == "http"

    def when_answered(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(flows.is_answered, values, 0.0).round(6)

    return {
        "sinpkt": (flows.duration_s * 1000 / flows.sent).round(6),
        "dinpkt": when_answered(flows.duration_s * 1000 / np.maximum(flows.received, 1)),
        "sjit": when_answered(rng.lognormal(5, 2, rows)),
        "djit": when_answered(rng.lognormal(4, 2, rows)),
        "swin": window,
        "stcpb": np.where(connected, rng.integers(0, 4_294_967_295, rows), 0),
        "dtcpb": np.where(connected, rng.integers(0, 4_294_967_295, rows), 0),
        "dwin": window,
        "tcprtt": handshake,
        "synack": syn,
        "ackdat": (handshake - syn).round(6),
        "smean": flows.sent_bytes // flows.sent,
        "dmean": flows.received_bytes // np.maximum(flows.received, 1),
        "trans_depth": is_http.astype(np.int64),
        "response_body_len": np.where(is_http, rng.lognormal(7, 2, rows), 0).round().astype(np.int64),
    }


def _earlier_flows(flows: _Flows, rng: np.random.Generator) -> Columns:
    """From `ct_srv_src` to `is_sm_ips_ports`: how many earlier flows were of the same kind."""
    rows, recent = len(flows.sent), flows.recent
    is_http, is_ftp = flows.service == "http", flows.service == "ftp"

    def near(values: _Counts) -> _Counts:
        return np.maximum(1, (values * rng.uniform(0.4, 1.0, rows)).round()).astype(np.int64)

    return {
        "ct_srv_src": near(recent),
        "ct_state_ttl": np.where(flows.source_ttl == 254, np.where(flows.is_answered, 1, 2), 0),
        "ct_dst_ltm": near(recent),
        "ct_src_dport_ltm": near(recent),
        "ct_dst_sport_ltm": near(near(recent)),
        "ct_dst_src_ltm": recent,
        "is_ftp_login": (is_ftp & (rng.random(rows) < 0.5)).astype(np.int64),
        "ct_ftp_cmd": (is_ftp & (rng.random(rows) < 0.5)).astype(np.int64),
        "ct_flw_http_mthd": is_http.astype(np.int64),
        "ct_src_ltm": near(recent),
        "ct_srv_dst": near(recent),
        "is_sm_ips_ports": (rng.random(rows) < 0.014).astype(np.int64),
    }
