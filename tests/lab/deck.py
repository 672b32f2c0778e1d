"""Running the built wgdeck in a lab, as its operator would."""
import json
import os
import pathlib

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent.parent
# A guest without KVM can be some ten times slower than a machine: what is too slow there says nothing.
PATIENT = ("--timeout", "60", "--patience", "60") if os.environ.get("WGDECK_GUEST") else ()
PROGRAM = str(CHECKOUT / os.environ.get("BUILD", "build") / "wgdeck")


def wgdeck(lab, *arguments, check=None, timeout=90, user=None, env=None, input=None):
    """Run it in the operator's machine. check: the exit statuses that are right (None: any). A status of a signal never is."""
    done = lab.operator.run([PROGRAM, *arguments], check=False, timeout=timeout, user=user, env=env, input=input)
    if done.returncode < 0 or done.returncode >= 128 or (check is not None and done.returncode not in check):
        raise AssertionError(f"wgdeck {' '.join(arguments)}: status {done.returncode}, wanted {check}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


def report(lab, *arguments, command="doctor", timeout=90, env=None):
    """doctor --json (or status) as a value; with the mesh file unless hosts are named."""
    if PATIENT and "--timeout" not in arguments:
        arguments, timeout = (*PATIENT, *arguments), timeout * 2
    done = wgdeck(lab, command, "--json", *arguments, check=(0, 1, 2, 3), timeout=timeout, env=env)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"wgdeck {command}: no JSON\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}") from None


def faults(document, severities=("error", "warning")):
    return [f for f in document["faults"] if f["severity"] in severities]


def describe(document):
    lines = [f"verdict {document['verdict']}"]
    lines += [f"  {n['name']}: {n['state']} {n['error'] or ''}" for n in document["nodes"]]
    lines += [f"  {l['a']}-{l['b']}: {l['state']} ->{l['a_to_b']} <-{l['b_to_a']} ages {l['a_handshake_age']} {l['b_handshake_age']}" for l in document["links"]]
    for f in document["faults"]:
        lines += [f"  [{f['severity']}] {f['id']} {f['nodes']} {f.get('direction')}: {f['summary']}"]
        lines += [f"      {e}" for e in f["evidence"]] + [f"      => {c}" for c in f["consequences"]]
    return "\n".join(lines)
