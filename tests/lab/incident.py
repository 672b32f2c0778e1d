#!/usr/bin/python3
"""Makes share/incident.jsonl anew: an incident of four minutes in the lab, recorded by `wgdeck record`, which `wgdeck replay` shows.

Some 430 kB: nine nodes, read every two seconds, of which the busy ones differ each time. It is as the recorder wrote it.

Usage: tests/lab/incident.py FILE [--seconds N]      needs root; writes FILE, and on standard output what was done when

Nine servers in three data centres and an office behind a NAT. What happens to them is the table STORY; all of it is done for real.
"""
import argparse
import os
import re
import subprocess
import sys
import time

from deck import PROGRAM
from lab import Host, Lab
from topology import genkey, pubkey

HOSTS = [Host("fra-1", "fra"), Host("fra-2", "fra"), Host("fra-3", "fra"),
         Host("ams-1", "ams"), Host("ams-2", "ams"),
         Host("nyc-1", "nyc"), Host("nyc-web", "nyc"), Host("nyc-db", "nyc"),
         Host("office", "office", nat="port-restricted")]
# Who talks to whom, at most so many bytes a second; in waves, so that the plots have something to show.
TRAFFIC = [("fra-1", "ams-1", 60000, 40), ("nyc-web", "nyc-db", 150000, 25), ("nyc-db", "nyc-web", 40000, 25), ("fra-2", "nyc-db", 25000, 60),
           ("office", "fra-1", 8000, 30)]
# And everyone asks the database something every few seconds: a link that carries nothing cannot show that it is cut.
ASKED, ASKED_EVERY = "nyc-db", 5
TALKER = """
import math, socket, sys, time
to, most, wave = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    rate = most * (0.55 + 0.45 * math.sin(time.time() * 2 * math.pi / wave))
    end = time.time() + 1
    for _ in range(max(1, int(rate / 1000))):
        try:
            s.sendto(bytes(940), (to, 9000))
        except OSError:
            pass
        time.sleep(1000 / max(rate, 1000) * 0.9)
    time.sleep(max(0, end - time.time()))
"""
ASKER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    s.sendto(bytes(200), (sys.argv[1], 9000))
    time.sleep(float(sys.argv[2]))
"""
LISTENER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 9000))
while True:
    s.recv(2000)
"""


def block(lab):
    lab.block_udp_in("nyc-db")


def rotate(lab):
    """fra-3 has a new key, and three of the eight others were told."""
    key = genkey()
    lab.set_private_key("fra-3", key)
    for name in ("fra-1", "fra-2", "office"):
        lab.set_row_key(name, "fra-3", pubkey(key))
    lab.rotated = pubkey(key)


def rotate_back(lab):
    fra3 = lab.host("fra-3")
    lab.set_private_key("fra-3", fra3.key)
    for name in ("fra-1", "fra-2", "office"):
        node = lab.host(name)
        row = node.rows()[lab.rotated]
        node.run(["wg", "set", "wg0", "peer", lab.rotated, "remove"])
        node.run(["wg", "set", "wg0", "peer", fra3.public_key, "allowed-ips", ",".join(row["allowed"]), "endpoint", fra3.endpoint,
                  "persistent-keepalive", str(row["keepalive"])])


def stop_sshd(lab):
    lab.refuse("ams-1")


def start_sshd(lab):
    lab.start_sshd("ams-1")


def mend(lab):
    lab.heal_network()


# Seconds after the beginning, what is done, and its words.
STORY = [
    (30, block, "the provider's firewall of nyc-db drops UDP 51820 that comes in"),
    (100, mend, "the firewall lets it in again"),
    (125, rotate, "fra-3 gets a new key, and only fra-1, fra-2 and office are told"),
    (170, rotate_back, "the old key of fra-3 is put back everywhere"),
    (190, stop_sshd, "sshd of ams-1 is gone; its tunnels go on"),
    (220, start_sshd, "sshd of ams-1 runs again"),
]
END = 250


def talk(lab):
    for name in sorted({b for _, b, _, _ in TRAFFIC} | {ASKED}):
        lab.host(name).spawn(["/usr/bin/python3", "-SsE", "-c", LISTENER])
    for a, b, most, wave in TRAFFIC:
        lab.host(a).spawn(["/usr/bin/python3", "-SsE", "-c", TALKER, lab.host(b).mesh[0], most, wave])
    for host in lab.hosts:
        if host.name != ASKED:
            host.spawn(["/usr/bin/python3", "-SsE", "-c", ASKER, lab.host(ASKED).mesh[0], ASKED_EVERY])


def record(lab, path, seconds):
    temporary = "/root/incident.jsonl"
    recorder = lab.operator.popen([PROGRAM, "record", "--push", "-d", str(seconds), "-w", "2", temporary], stdin=subprocess.DEVNULL)
    began = time.monotonic()
    for at, action, words in STORY:
        if at >= seconds:
            break
        time.sleep(max(0, began + at - time.monotonic()))
        action(lab)
        print(f"+{time.monotonic() - began:3.0f}  {words}", flush=True)
    if recorder.wait(timeout=seconds + 60):
        sys.exit(f"wgdeck record ended with {recorder.returncode}")
    # The number of the kernel is the machine's that made the recording; what its builder calls it is nobody's business.
    text = re.sub(r'("kernel":"[0-9.]+)[^"]*"', r'\1"', lab.operator.read(temporary))
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file")
    parser.add_argument("--seconds", type=int, default=END)
    arguments = parser.parse_args()
    with Lab(HOSTS, keepalive=25, name="prod") as lab:
        lab.warm()
        talk(lab)
        time.sleep(5)
        record(lab, arguments.file, arguments.seconds)
    print(f"{arguments.file}: {os.path.getsize(arguments.file):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
