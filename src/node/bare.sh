# The bare look: what a node tells through its own shell and tools, where nothing may be copied to it. It changes nothing there.
#
# The Makefile makes one line of this file (comments and indentation away, lines joined by blanks), and scripts.c puts it between
# single quotes: sh -c '...'. Because the login shell that reads the line may be any (bash, dash, zsh, fish, csh), there must be no single
# quote, no exclamation mark and no double backslash here, and every command ends with a semicolon. POSIX sh: dash, busybox, bash.
# Every fork counts, as it runs on hundreds of hosts at once: 4 programs, and one for each preshared key.
#
# Set before: salt, 64 hexadecimal digits. Printed: one item a line, a letter, a blank, and the rest as it is, so that no text of the node
# can be taken for another item; src/mesh/observed_bare.c reads it:
#   wgdeck bare 1           the first line; what a login script printed before it is not ours
#   t SECONDS.NANOSECONDS   the node's clock (whole seconds, or a bare %N after them, from busybox)
#   n NAME   k RELEASE      hostname, kernel
#   p FROM PORT AT PORT     SSH_CONNECTION
#   u 1                     this is root
#   f V4 V6                 the sysctls for forwarding; - unknown
#   g 1                     the kernel has WireGuard
#   q NAME                  a UAPI socket /run/wireguard/NAME.sock was there, and wg to ask it
#   d DUMP                  a line of "wg show all dump": private key replaced by (hidden), preshared key by its salted hash
#   w TEXT                  what wg complained about
#   o MODE UID SIZE PATH    stat of /etc/wireguard and the files in it
#   F PATH                  a saved configuration; its lines follow, one c, K or H for each line of the file:
#   c TEXT                  a line that holds no secret; empty for all that is not known to hold none (comments, hooks, unknown keys)
#   K KEY   H HASH          in the place of PrivateKey (its public key, or -) and of PresharedKey (its salted hash)
#   E PATH                  a saved configuration that cannot be read, or is not looked at
#   [...                    answers of "ip -json -batch", in this order: addresses, routes of all tables, then one for each row's endpoint
#                           and allowed prefix that can be reached, and last the one for 127.0.0.1, by which we know that all were asked
#   A TEXT  R TEXT  G TO|TEXT   where ip has no -json: lines of ip addr, of ip route show table all, and of ip route get TO
#   x TEXT                  what was not looked at, and why
#   wgdeck end              the last line: nothing was cut off

LC_ALL=C; export LC_ALL;
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;
set -f;
tab=${IFS#?}; nl=${tab#?}; tab=${tab%?};
h=[0-9a-f]; h=$h$h$h$h; h=$h$h$h$h; h32=$h$h; h=$h$h$h$h;
q=????; q=$q$q$q$q; q=$q$q; q44=$q????????????;
case $salt in $h) ;; *) echo "wgdeck error the salt is not 64 hexadecimal digits"; exit 2;; esac;

# out is printed in large pieces: each small one would be an SSH packet of its own.
out=; asks=; privates=" "; hashes=" "; sum=;
say() { out=$out$1$nl; if [ ${#out} -gt 8000 ]; then printf %s "$out"; out=; fi; };
flush() { printf %s "$out"; out=; };

# hash_key KEY, to hashed. printf must be the shell own one, or the key would be in an argv for all to see.
hash_key() {
    case $hashes in *" $1:"*) hashed=${hashes#*" $1:"}; hashed=${hashed%%" "*}; return;; esac;
    if [ -z "$sum" ]; then
        case $(command -v printf) in
        printf) ;;
        *) echo "wgdeck error sh has no printf of its own, so preshared keys cannot be hashed safely (make sh a dash or bash)"; exit 2;;
        esac;
        if command -v sha256sum >/dev/null; then sum=sha256sum;
        elif command -v openssl >/dev/null; then sum="openssl dgst -sha256 -r";
        else echo "wgdeck error no sha256sum, so preshared keys cannot be compared (install coreutils)"; exit 2; fi;
    fi;
    IFS=" ";
    hashed=$(printf %s "$salt$1" | $sum); hashed=${hashed%"${hashed#$q}"};
    case $hashed in $h32) ;; *) echo "wgdeck error $sum does not work"; exit 2;; esac;
    hashes="$hashes$1:$hashed ";
};

# ask PREFIX: the address that stands for it, as observed_route_target has it: itself for a single host, else the first one inside.
ask() {
    a=${1%/*};
    case $1 in
    *:*/128|*.*/32) ;;
    0.*/[0-7]) a=1.0.0.1;;
    ::/[0-2]) a=2000::1;;
    *::/*) a=${a}1;;
    *)  d=${a%?};
        case $a in
        *0) a=${d}1;; *2) a=${d}3;; *4) a=${d}5;; *6) a=${d}7;; *8) a=${d}9;; *a) a=${d}b;; *c) a=${d}d;; *e) a=${d}f;;
        esac;;
    esac;
    asks="${asks}route get $a$nl";
};

# A line with two equals signs: a key in base64 ends in one.
secret() {
    case $* in
    [Pp][Rr][Ii][Vv][Aa][Tt][Ee][Kk][Ee][Yy])
        set -- ${line#*=}; a=${1%"${1#$q44}"};
        case $privates in
        *" $a:"*) a=${privates#*" $a:"}; a=${a%%" "*};;
        *) a=$(printf "%s\n" "$a" | wg pubkey 2>/dev/null);;
        esac;
        say "K ${a:--}";;
    [Pp][Rr][Ee][Ss][Hh][Aa][Rr][Ee][Dd][Kk][Ee][Yy])
        set -- ${line#*=}; a=${1%"${1#$q44}"};
        case $a in
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=) say "c ";;
        *) hash_key "$a"; say "H $hashed";;
        esac;;
    *) say "c ";;
    esac;
};

echo_file() { line=-; { read -r line < "$1"; } 2>/dev/null; };

say "wgdeck bare 1";
echo_file /proc/sys/kernel/hostname; if [ "$line" = - ]; then line=$(uname -n); fi; say "n $line";
echo_file /proc/sys/kernel/osrelease; if [ "$line" = - ]; then line=$(uname -r); fi; say "k $line";
if [ -d /sys/module/wireguard ]; then say "g 1";
else
    set +f;
    a=/lib/modules/$line;
    set -- "$a"/kernel/drivers/net/wireguard/wireguard.ko* "$a"/*/wireguard.ko* "$a"/updates/dkms/wireguard.ko*;
    set -f;
    for a; do if [ -e "$a" ]; then say "g 1"; break; fi; done;
fi;
# sudo takes SSH_CONNECTION away; its own environment still has it.
if [ -z "$SSH_CONNECTION" ] && [ "$SUDO_UID" ] && [ -r /proc/$PPID/environ ]; then
    a=$(tr "\000" "\n" < /proc/$PPID/environ 2>/dev/null);
    case $nl$a in *"${nl}SSH_CONNECTION="*) a=${a##*SSH_CONNECTION=}; SSH_CONNECTION=${a%%"$nl"*};; esac;
fi;
if [ "$SSH_CONNECTION" ]; then say "p $SSH_CONNECTION"; fi;
if [ -O / ]; then say "u 1"; fi;
echo_file /proc/sys/net/ipv4/ip_forward; a=$line;
echo_file /proc/sys/net/ipv6/conf/all/forwarding; say "f $a $line";

if command -v wg >/dev/null; then
    # Sockets first: wg removes those that nothing answers.
    set +f; set -- /run/wireguard/*.sock; set -f;
    for a; do if [ -S "$a" ]; then a=${a##*/}; say "q ${a%.sock}"; fi; done;
    say "t $(date +%s.%N)";
    dump=$(wg show all dump 2>&1);
else
    say "t $(date +%s.%N)"; dump=; say "x wg is not installed there";
fi;
IFS=$nl;
for line in $dump; do
    case $line in *"$tab"*) ;; *) say "w $line"; continue;; esac;
    IFS=$tab; set -- $line;
    if [ $# = 5 ]; then
        case $5 in off|0x0) mark=;; *) mark=" mark $5";; esac;
        case $2 in
        "(none)") say "d $line";;
        *) privates="$privates$2:$3 "; say "d $1$tab(hidden)$tab$3$tab$4$tab$5";;
        esac;
    elif [ $# = 9 ]; then
        case $4 in
        "(none)") ;;
        "["*%*) a=${4#?}; a=${a%%]*}; asks="${asks}route get ${a%%%*} dev ${a#*%}$mark$nl";;
        "["*) a=${4#?}; asks="${asks}route get ${a%%]*}$mark$nl";;
        *) asks="${asks}route get ${4%:*}$mark$nl";;
        esac;
        IFS=,;
        case $5 in "(none)") ;; *) for a in $5; do ask "$a"; done;; esac;
        case $3 in
        "(none)") say "d $line";;
        *) hash_key "$3"; say "d $1$tab$2$tab$hashed$tab$4$tab$5$tab$6$tab$7$tab$8$tab$9";;
        esac;
    else
        say "w wg prints a line of $# fields";
    fi;
done;
dump=; line=;

# Saved configurations. Of each line only what is known to hold no secret is shown; so a key in a comment or in a hook stays there.
e=/etc/wireguard;
if [ -d $e ]; then
    if [ -r $e ] && [ -x $e ]; then
        set +f; set -- $e/*.conf; set -f;
        if [ $# -gt 64 ]; then say "x only 64 of the $# files in $e are looked at"; fi;
        n=0; files=;
        for a; do
            if [ $n -lt 64 ] && [ -f "$a" ]; then
                n=$((n + 1));
                case $a in *" "*|*"$tab"*|*"$nl"*) ;; *) files="$files $a";; esac;
            fi;
        done;
        IFS=" ";
        if command -v stat >/dev/null; then modes=$(stat -c "%a %u %s %n" $e $files 2>/dev/null); else modes=; say "x no stat: modes in $e are unknown"; fi;
        IFS=$nl; for a in $modes; do say "o $a"; done;
        IFS=" "; set -- $files;
        for file; do
            if [ -r "$file" ]; then say "F $file"; else say "E $file"; continue; fi;
            n=0;
            while IFS= read -r line || [ "$line" ]; do
                n=$((n + ${#line}));
                if [ $n -gt 262144 ]; then say "E $file"; break; fi;
                line=${line%%"#"*};
                IFS=" $tab"; set -- ${line%%=*}; 
                case $*${line#"${line%%=*}"} in
                "["*) if [ ${#line} -gt 24 ]; then say "c "; else say "c $line"; fi;;
                [Pp][Uu][Bb][Ll][Ii][Cc][Kk][Ee][Yy]=*) set -- ${line#*=}; say "c PublicKey = ${1%"${1#$q44}"}";;
                *=*=*) secret "$@";;
                [Aa][Ll][Ll][Oo][Ww][Ee][Dd][Ii][Pp][Ss]=*|[Ee][Nn][Dd][Pp][Oo][Ii][Nn][Tt]=*) say "c $line";;
                [Pp][Ee][Rr][Ss][Ii][Ss][Tt][Ee][Nn][Tt][Kk][Ee][Ee][Pp][Aa][Ll][Ii][Vv][Ee]=*) say "c $line";;
                [Aa][Dd][Dd][Rr][Ee][Ss][Ss]=*|[Mm][Tt][Uu]=*|[Tt][Aa][Bb][Ll][Ee]=*) say "c $line";;
                [Ll][Ii][Ss][Tt][Ee][Nn][Pp][Oo][Rr][Tt]=*|[Ff][Ww][Mm][Aa][Rr][Kk]=*) say "c $line";;
                [Ss][Aa][Vv][Ee][Cc][Oo][Nn][Ff][Ii][Gg]=*) say "c $line";;
                *) say "c ";;
                esac;
            done < "$file";
        done;
    else
        say "x cannot read $e: permission denied (log in as root, or allow sudo)";
    fi;
fi;

if command -v ip >/dev/null; then
    flush;
    printf "addr show\nroute show table all\n%sroute get 127.0.0.1\n" "$asks" | ip -j -d -s -s -force -batch - 2>/dev/null || {
        if ip -j -V >/dev/null 2>&1; then :; else
            ip addr 2>/dev/null | while IFS= read -r line; do printf "A %s\n" "$line"; done;
            ip route show table all 2>/dev/null | while IFS= read -r line; do printf "R %s\n" "$line"; done;
            n=0; IFS=$nl;
            for a in $asks; do
                a=${a#route get }; n=$((n + 1)); if [ $n -gt 128 ]; then say "x this ip has no -json: only 128 routes are asked for"; break; fi;
                IFS=" "; set -- $a;
                line=$(ip route get "$@" 2>/dev/null); say "G $1|${line%%"$nl"*}";
            done;
        fi; };
else
    say "x ip is not installed there: links, addresses and routes are unknown";
fi;
say "wgdeck end";
flush;
