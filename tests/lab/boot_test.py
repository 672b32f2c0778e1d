"""What brings an interface up at boot: seen by both ways of looking, and doing it after a power cut."""
import json

from guard_test import Helper
from lab import Lab
from node_test import bare

SALT = "0123456789abcdef" * 4
PROGRAM = "/usr/local/lib/wgdeck/wgdeck"


def seen(host):
    helper = Helper(host)
    observation = helper.ask("observe", salt=SALT)["observation"]
    helper.close()
    return observation


def test_what_systemd_has_enabled_is_seen():
    with Lab(["a", "b"]) as lab:
        a = lab.host("a")
        assert seen(a)["configs"][0]["boot"] == ""
        wants = "/etc/systemd/system/multi-user.target.wants"
        a.out(f"mkdir -p /run/systemd/system {wants} /var/lib/wgdeck/wg0")
        a.write("/var/lib/wgdeck/wg0/generation", "8-3fa94c12\n0000000000000001\n")
        a.write("/etc/systemd/system/x@.service", "[Unit]\n")
        a.out(f"ln -s ../x@.service {wants}/wg-quick@wg0.service")
        observation = seen(a)
        assert observation["configs"][0]["boot"] == "wg-quick@wg0.service", observation["configs"]
        assert observation["generation"] == "8-3fa94c12", observation
        lines = bare(lab).splitlines()
        assert "b wg-quick@wg0.service" in lines and "v 8-3fa94c12" in lines, lines
        assert lines.index("b wg-quick@wg0.service") > lines.index("F /etc/wireguard/wg0.conf")


def test_a_change_of_the_link_is_told_to_who_watches():
    with Lab(["a", "b"]) as lab:
        a = lab.host("a")
        helper = Helper(a)
        helper.ask("observe", salt=SALT)
        a.write("/etc/init.d/wgdeck-wg0", "#!/bin/sh\n", 0o755)
        a.out("mkdir -p /etc/rc2.d; ln -s ../init.d/wgdeck-wg0 /etc/rc2.d/S07wgdeck-wg0")
        assert helper.ask("observe", salt=SALT)["observation"]["configs"][0]["boot"] == "/etc/init.d/wgdeck-wg0"
        helper.close()


def test_enabled_it_comes_up_after_a_power_cut():
    with Lab(["a", "b"]) as lab:
        lab.warm()
        a = lab.host("a")
        helper = Helper(a)
        helper.begin()
        helper.stage([{"do": "service", "running": False, "saved": True}], within=30)
        helper.ask("finish", change="0000000000000001", within=5)
        assert helper.confirm().get("warnings", []) == []
        helper.close()
        assert seen(a)["configs"][0]["boot"] == "/etc/init.d/wgdeck-wg0"
        assert a.out(f"stat -c '%a %U' {PROGRAM} /usr/local/lib/wgdeck").split() == ["755", "root", "755", "root"]
        lab.power_cut("a")
        lab.power_on("a")
        a = lab.host("a")
        assert lab.ping("a", "b", count=5, timeout=10), a.out("cat /var/log/boot.log")
        assert a.rows()[lab.host("b").public_key]["allowed"], json.dumps(a.rows())
