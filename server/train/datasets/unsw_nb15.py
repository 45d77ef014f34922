"""Schema of UNSW-NB15 (UNSW Canberra), train and test set merged: 257,673 rows, 45 columns, 64 % attacks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from server.train.datasets.draws import draw_labels, pick

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


def generate(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Attacks come as short one-way bursts with many earlier connections of the same kind, and with TTL 254."""
    protocol = pick(rng, {"tcp": 0.48, "udp": 0.38, "other": 0.14}, rows)
    is_tcp, is_udp = protocol == "tcp", protocol == "udp"
    protocol = np.where(protocol == "other", rng.choice(_OTHER_PROTOCOLS, rows), protocol)
    service = np.where(is_tcp, pick(rng, _TCP_SERVICES, rows), np.where(is_udp, pick(rng, _UDP_SERVICES, rows), "-"))
    state = np.where(
        is_tcp,
        pick(rng, {"FIN": 0.93, "CON": 0.045, "REQ": 0.02, "RST": 0.005}, rows),
        np.where(is_udp, pick(rng, {"INT": 0.7, "CON": 0.3}, rows), "INT"),
    )
    answers = state != "INT"
    sent = np.where(answers, rng.lognormal(2.4, 0.9, rows), 2).round().clip(1, 10_646).astype(np.int64)
    received = np.where(answers, (sent * rng.uniform(0.5, 1.4, rows)), 0).round().astype(np.int64)
    sent_bytes = (sent * rng.lognormal(4.8, 0.7, rows)).round().astype(np.int64)
    received_bytes = (received * rng.lognormal(4.6, 1.1, rows)).round().astype(np.int64)
    duration = (
        np.where(answers, rng.lognormal(-0.7, 1.2, rows), rng.integers(1, 12, rows) * 1e-6).round(6).clip(1e-6, 60)
    )
    source_ttl = np.array([31, 62, 254])[rng.choice(3, rows, p=[0.12, 0.2, 0.68])]
    target_ttl = np.where(answers, np.array([29, 252])[rng.choice(2, rows, p=[0.3, 0.7])], 0)
    recent = rng.negative_binomial(0.9, 0.09, rows).clip(1, 63)
    score = (
        2.2 * (source_ttl == 254)
        - 1.4 * (source_ttl == 31)
        + 0.09 * recent
        + 1.5 * (~answers)
        + 1.2 * (service == "dns")
        - 0.5 * np.log1p(received_bytes / 400)
        + 0.8 * np.isin(protocol, _OTHER_PROTOCOLS[:6])
    )
    label = draw_labels(rng, 1.1 * score, 0.639)
    connected = is_tcp & answers
    handshake = np.where(connected, rng.gamma(2, 0.05, rows), 0.0).round(6)
    syn = (handshake * rng.uniform(0.3, 0.7, rows)).round(6)
    window = np.where(connected, 255, 0)
    is_http, is_ftp = service == "http", service == "ftp"

    def near(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.maximum(1, (values * rng.uniform(0.4, 1.0, rows)).round()).astype(np.int64)

    def when_answered(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(answers, values, 0.0).round(6)

    return pd.DataFrame(
        {
            "id": np.arange(1, rows + 1),
            "dur": duration,
            "proto": protocol,
            "service": service,
            "state": pd.Categorical(state),
            "spkts": sent,
            "dpkts": received,
            "sbytes": sent_bytes,
            "dbytes": received_bytes,
            "rate": ((sent + received - 1).clip(0) / duration).round(6),
            "sttl": source_ttl,
            "dttl": target_ttl,
            "sload": (sent_bytes * 8 / duration).round(6),
            "dload": (received_bytes * 8 / duration).round(6),
            "sloss": np.where(connected, sent // 4, 0),
            "dloss": np.where(connected, received // 4, 0),
            "sinpkt": (duration * 1000 / sent).round(6),
            "dinpkt": when_answered(duration * 1000 / np.maximum(received, 1)),
            "sjit": when_answered(rng.lognormal(5, 2, rows)),
            "djit": when_answered(rng.lognormal(4, 2, rows)),
            "swin": window,
            "stcpb": np.where(connected, rng.integers(0, 4_294_967_295, rows), 0),
            "dtcpb": np.where(connected, rng.integers(0, 4_294_967_295, rows), 0),
            "dwin": window,
            "tcprtt": handshake,
            "synack": syn,
            "ackdat": (handshake - syn).round(6),
            "smean": sent_bytes // sent,
            "dmean": received_bytes // np.maximum(received, 1),
            "trans_depth": is_http.astype(np.int64),
            "response_body_len": np.where(is_http, rng.lognormal(7, 2, rows), 0).round().astype(np.int64),
            "ct_srv_src": near(recent),
            "ct_state_ttl": np.where(source_ttl == 254, np.where(answers, 1, 2), 0),
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
            "attack_cat": np.where(label == 1, pick(rng, _ATTACKS, rows), "Normal"),
            "label": label,
        }
    )
