/* Changing a node: the helper's operations for it (DESIGN section 8). What the deck and a node say to each other when something is changed; node.h has the rest.
 *
 * A change has an ID (16 hex digits, made by the deck). All its requests but verify, confirm and revert come over one channel; these three may come over any.
 *
 *   {"op":"facts","interface":"wg0"}
 *        -> {"facts":{"hostname":…,"os":"Debian GNU/Linux 12","system":"x86_64","init":"systemd|openrc|sysv|cron|none","root":true,"kernel":true,"tun":true,
 *            "wg_quick":true,"engine":"kernel|embedded|userspace|null (what runs the interface)","ports":[51820,…udp in use],"addresses":["203.0.113.1/24",…],"mtu":1500,
 *            "firewall":["nft: input policy drop, nothing accepts udp 51820"],"service":"wg-quick@wg0|wgdeck@wg0|…|null: enabled at boot",
 *            "public_key":…|null,"pending":{"change":…,"owner":…,"seconds":41}|null,"generation":…|null}}
 *   {"op":"begin","change":ID,"interface":"wg0","mesh":"prod","owner":"alice@laptop","make_key":true,"next_key":false}
 *        takes the lock of the interface (kept by this channel's helper, and by the guard once there is one). A change that was left unfinished without a guard (power cut, guard
 *        killed) is first put back. make_key: a private key is made where there is neither an interface nor a kept one (0600, /var/lib/wgdeck/IF/private-key; the same one is found again
 *        after a change that was put back). next_key: the key of a rotation is made, or found again (…/next-key).
 *        -> {"public_key":…|null,"next_public_key":…|null,"box":"base64 of an X25519 key made for this change","recovered":"what was put back"|null}
 *        error code "locked": {"ok":false,"code":"locked","error":"alice@laptop changes wg0 since 14:02:11 (…)"}
 *   {"op":"preshared","change":ID,"for":[{"key":PUBLIC,"box":BASE64}]}
 *        makes one preshared key for each, remembers it for this change's rows that say "make", and seals it (libsodium crypto_box_seal) to the other end's box: the deck carries what
 *        it cannot read. -> {"sealed":[{"key":PUBLIC,"sealed":BASE64}]}
 *   {"op":"stage","change":ID,"within":60,"generation":"8-3fa94c12","operations":[…plan.h…],"sealed":[{"key":PUBLIC,"sealed":BASE64}]}
 *        1. all is checked: operations, the port is free, the folder of the file can be written, the new file is written beside the old one and synced (so that a full disk or a read-only
 *        file is known now); 2. the old state is written to disk; 3. the guard starts: a process of its own session that puts the old state back after WITHIN seconds unless confirmed,
 *        whatever becomes of the helper, the connection or the deck; 4. operations that are not subtractive are done, but for PRIVATE_KEY of a node that has one, and keepalives of new
 *        rows (so that no handshake is begun before its other end knows the row). Events {"id":N,"event":"did","index":I} as operations are done.
 *        An operation that fails: all is put back at once, and the answer is the error with "index". -> {"ok":true}
 *   {"op":"finish","change":ID,"within":20}
 *        keepalives, PRIVATE_KEY, then what is subtractive; a ROW_MOVE waits for the new row's handshake, at most WITHIN seconds. Events as above.
 *   {"op":"verify","interface":"wg0","within":10,"links":[{"key":PUBLIC,"addresses":["10.44.0.2"],"lead":true}]}
 *        pings through the interface until an answer has come and the row's handshake is younger than 180 s (or came after the request); who does not lead waits 2 s for the other to begin.
 *        Events {"id":N,"event":"link","key":PUBLIC,"rtt":microseconds,"age":milliseconds}. -> {"failed":[{"key":PUBLIC,"why":"no answer to 20 pings; no handshake"}]}
 *   {"op":"confirm","change":ID,"interface":"wg0"}    the files take their names, the service is enabled, the guard ends. -> {"warnings":[…]}   Said twice: the same answer.
 *   {"op":"revert","change":ID,"interface":"wg0"}     the old state is put back now. -> {"restored":true}
 *   {"op":"release","change":ID}                      the lock goes, when nothing was staged.
 * Errors: {"id":N,"ok":false,"error":"…","code":"locked|busy|refused|unknown-change|failed|guarded"}. failed: the node is in its old state; guarded: it could not be put
 * back at once, and its guard goes on trying.
 *
 * At every moment the node is in its old or its new state, or will be within WITHIN seconds; after a power cut it boots into the state of its file, which changes by rename at confirm. */
#ifndef WGDECK_APPLY_H
#define WGDECK_APPLY_H

/* In observation->pending ("alice@laptop, left unfinished: ..."): neither a helper nor a guard is at it any more, and the next "begin" puts it back. */
#define APPLY_UNFINISHED "left unfinished"

enum { APPLY_WITHIN_DEFAULT = 60, APPLY_WITHIN_LEAST = 10, APPLY_WITHIN_MOST = 3600, APPLY_OPERATIONS_MAX = 100000 };

#endif
