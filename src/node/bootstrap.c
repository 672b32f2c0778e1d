/* The fixed commands that the deck runs over SSH, and the dialogue in which a node becomes able to answer.
 *
 * Their text is in bootstrap.sh and bare.sh; the Makefile makes string literals of these. They hold no data; data is on stdin.
 *
 * node_bare_command: the deck writes "SALT\n" (64 hexadecimal digits) and reads the bare look (bare.sh says what it looks like).
 *
 * node_bootstrap_command: the deck writes "MODE SHA256 SIZE SALT\n": MODE is auto or helper, SHA256 and SIZE are the static program's.
 * The node answers in lines; lines before the first that begins with "wgdeck " are a login script's and mean nothing:
 *
 *   wgdeck helper FOLDER     the helper is there and runs now: JSON lines follow, both ways (node.h). In mode auto the deck may write its
 *                            first request together with the first line: where no helper is, nobody reads it.
 *   wgdeck system Linux x86_64   no helper is there; what the node is (uname -sm), so that the deck knows whether its helper would run. Then:
 *   wgdeck bare 1            (auto, when the node has wg) the bare look follows, to its end line, and that ends it
 *   wgdeck need              (auto) the node has no wg: only a helper can look. That ends it; the deck runs the command again with helper.
 *                            (helper) the node waits for exactly SIZE bytes. The deck sends them, or closes if the system is not its helper's, and
 *                            writes nothing more before it has read "wgdeck helper" (some implementations of head read ahead).
 *   wgdeck error TEXT        and that ends it: disk full, no place that is private and allows programs, checksum differs.
 *
 * "set +xv" comes first: a node whose environment has SHELLOPTS=xtrace would print every private key on stderr.
 *
 * A helper is written beside its place, checked, and renamed: it is there whole, or not at all. */
#include "wgdeck/node.h"

const char node_bare_command[] = "exec sh -c '"
                                 "set +xv; read -r salt; "
#include "bare_script.h"
                                 "'";

const char node_bootstrap_command[] = "exec sh -c '"
                                      "set +xv; "
#include "bootstrap_script.h"
#include "bare_script.h"
                                      "'";
