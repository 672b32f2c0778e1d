# The bare look: what a node tells through its own shell and tools, where nothing may be copied to it. It changes nothing there.
#
# The Makefile makes one line of this file (comments and indentation away, lines joined by blanks), and scripts.c puts it between
# single quotes: sh -c '...'. Because the login shell that reads the line may be any (bash, dash, zsh, fish, csh), there must be no single
# quote, no exclamation mark and no double backslash here, and every command ends with a semicolon. POSIX sh: dash, busybox, bash.
# Every fork counts, as it runs on hundreds of hosts at once: 8 programs at 99 rows, and one for each 7 preshared keys. So does every
# byte that grows in a variable: dash copies the whole of it.
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
#   h HASH                  the salted hash of a preshared key; they are counted from 1, and #1 below is the first one
#   q NAME                  a UAPI socket /run/wireguard/NAME.sock is there, and wg to ask it
#   Q NAME                  one that nobody listens at, or that wg got no answer from; it was not touched: wg removes what refuses
#   d DUMP                  a line of "wg show all dump": private key replaced by (hidden), preshared key by its #NUMBER
#   w TEXT                  what wg complained about
#   W COUNT PATH            wg, which is PATH, printed a line of COUNT fields, which wg does not
#   o MODE UID SIZE PATH    stat of /etc/wireguard and the files in it
#   F PATH                  a saved configuration; its lines follow, one c, K or H for each line of the file:
#   c TEXT                  a line that holds no secret; empty for all that is not known to hold none (comments, hooks, unknown keys)
#   K KEY   H #NUMBER       in the place of PrivateKey (its public key, or -) and of PresharedKey
#   b UNIT                  behind F: what of systemd brings it up at boot
#   v GENERATION            of the state that wgdeck has applied there
#   E PATH                  a saved configuration that cannot be read, or is not looked at
#   r 1                     the rules are the usual ones (local, main, default), and not all is asked: the rest follows from the routes
#   [...                    answers of "ip -json -batch", in this order: addresses, routes of all tables, what is known better than from
#                           these (learned MTUs), then one for each address asked that can be reached: all rows' endpoints and allowed prefixes
#                           (after "r 1" only the endpoints with a zone), and last the one for 127.0.0.1, by which we know that all were asked
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

# out is printed in large pieces: each small one would be an SSH packet of its own. What goes out waits in body until the hashes are known.
out=; body=; asks=; privates=" "; numbers=" "; keys=; count=0; rows=0; v6=;
say() { out=$out$1$nl; if [ ${#out} -gt 600 ]; then body=$body$out; out=; fi; };

# number_key KEY, to number: of this preshared key among all that are there.
number_key() {
    case $numbers in
    *":$1 "*) number=${numbers%%":$1 "*}; number=${number##*" "};;
    *) count=$((count + 1)); number=$count; numbers="$numbers$count:$1 "; keys="$keys$1 ";;
    esac;
};

# Seven hashes for one program: each key comes through a pipe of its own, which is what a shell makes of a short here-document. Bash
# before 5.1 makes a file of it, as do ksh, zsh and yash; so these take a pipe for each key. printf must be the shell own one, here and in
# filter, or the key would be in an argv.
hash_keys() {
    if [ $count = 0 ]; then return; fi;
    case $(command -v printf) in
    printf) ;;
    *) echo "wgdeck error sh has no printf of its own, so preshared keys cannot be hashed safely (make sh a dash or bash)"; exit 2;;
    esac;
    if command -v sha256sum >/dev/null; then sum=sha256sum;
    elif command -v openssl >/dev/null; then sum="openssl dgst -sha256 -r";
    else echo "wgdeck error no sha256sum, so preshared keys cannot be compared (install coreutils)"; exit 2; fi;
    IFS=" "; set -- $keys; keys=; numbers=; a=0;
    seven=; for n in 3 4 5 6 7 8 9; do seven="$seven $n<<E"; done;
    for n in 3 4 5 6 7 8 9; do seven="$seven$nl\$salt\$$((n - 2))${nl}E"; done;
    seven="$sum /dev/fd/3 /dev/fd/4 /dev/fd/5 /dev/fd/6 /dev/fd/7 /dev/fd/8 /dev/fd/9 $seven$nl";
    while [ $# -gt 0 ]; do
        if [ $# -ge 7 ] && [ -z "$BASH_VERSION$KSH_VERSION$ZSH_VERSION$YASH_VERSION" ] && [ -r /dev/fd/0 ]; then hashed=$(eval "$seven"); n=7;
        else hashed=$(printf "%s\n" "$salt$1" | $sum); n=1; fi;
        shift $n;
        IFS=$nl;
        for line in $hashed; do
            line=${line%"${line#$q}"};
            case $line in $h32) ;; *) echo "wgdeck error $sum does not work"; exit 2;; esac;
            first="${first}h $line$nl"; a=$((a + 1));
        done;
        IFS=" ";
    done;
    if [ $a = $count ]; then :; else echo "wgdeck error $sum does not work"; exit 2; fi;
};
flush() { body=$body$out; out=; hash_keys; printf %s "$first$body"; first=; body=; count=0; };

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

# A saved line (with its "c ") that is not plainly harmless, to line as it may be shown. Two equals signs: a key in base64 ends in one.
filter() {
    line=${line#??}; line=${line%%"#"*};
    IFS=" $tab"; set -- ${line%%=*}; IFS=$nl;
    case $*${line#"${line%%=*}"} in
    "["*) if [ ${#line} -gt 24 ]; then line="c "; else line="c $line"; fi;;
    [Pp][Uu][Bb][Ll][Ii][Cc][Kk][Ee][Yy]=*) value; line="c PublicKey = $a";;
    [Pp][Rr][Ii][Vv][Aa][Tt][Ee][Kk][Ee][Yy]=*=*)
        value;
        case $privates in
        *" $a:"*) a=${privates#*" $a:"}; a=${a%%" "*};;
        *) case $(command -v printf) in printf) a=$(printf "%s\n" "$a" | wg pubkey 2>/dev/null);; *) a=;; esac;;
        esac;
        line="K ${a:--}";;
    [Pp][Rr][Ee][Ss][Hh][Aa][Rr][Ee][Dd][Kk][Ee][Yy]=*=*)
        value;
        case $a in ""|AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=) line="c ";; *) number_key "$a"; line="H #$number";; esac;;
    *=*=*) line="c ";;
    [Aa][Ll][Ll][Oo][Ww][Ee][Dd][Ii][Pp][Ss]=*|[Ee][Nn][Dd][Pp][Oo][Ii][Nn][Tt]=*) line="c $line";;
    [Pp][Ee][Rr][Ss][Ii][Ss][Tt][Ee][Nn][Tt][Kk][Ee][Ee][Pp][Aa][Ll][Ii][Vv][Ee]=*) line="c $line";;
    [Aa][Dd][Dd][Rr][Ee][Ss][Ss]=*|[Mm][Tt][Uu]=*|[Tt][Aa][Bb][Ll][Ee]=*) line="c $line";;
    [Ll][Ii][Ss][Tt][Ee][Nn][Pp][Oo][Rr][Tt]=*|[Ff][Ww][Mm][Aa][Rr][Kk]=*) line="c $line";;
    [Ss][Aa][Vv][Ee][Cc][Oo][Nn][Ff][Ii][Gg]=*) line="c $line";;
    *) line="c ";;
    esac;
};
# The first word behind the equals sign, of 44 bytes at most, to a.
value() { IFS=" $tab"; set -- ${line#*=}; IFS=$nl; a=${1%"${1#$q44}"}; };

echo_file() { line=-; { read -r line < "$1"; } 2>/dev/null; };

first="wgdeck bare 1$nl";
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

# alive NAME: will wg find somebody at its socket? Who has its tun open lives; and all sockets of this network namespace are listed.
alive() {
    if [ -e "/sys/class/net/$1/tun_flags" ]; then
        echo_file "/sys/class/net/$1/carrier"; if [ "$line" = 1 ]; then return 0; fi;
    fi;
    if [ -z "$listening" ]; then listening=$(cat /proc/net/unix 2>/dev/null)$nl; fi;
    case $listening in *"wireguard/$1.sock$nl"*) return 0;; "$nl") [ -e "/sys/class/net/$1" ];; *) return 1;; esac;
};
# ask_wg NAME|all, to dump: what it prints, then its complaints (apart: its output comes in pieces that end anywhere); and to status.
ask_wg() {
    dump=$({ a=$($limit wg show "$1" dump 2>&1 >&3 3>&-); status=$?; } 3>&1; printf "\n%s\n%s" "$a" $status);
    status=${dump##*"$nl"}; dump=${dump%"$nl"*};
};

if command -v wg >/dev/null; then
    set +f; set -- /run/wireguard/*.sock; set -f;
    sockets=; single=; limit=; listening=;
    if [ -S "$1" ]; then
        if command -v timeout >/dev/null; then limit="timeout 3"; fi;
    fi;
    for a; do
        if [ -S "$a" ]; then a=${a##*/}; a=${a%.sock}; else continue; fi;
        case $a in ""|*" "*|*"$tab"*|*"$nl"*) continue;; esac;
        if alive "$a"; then sockets="$sockets$a "; else say "Q $a"; single=1; fi;
    done;
    listening=;
    if [ "$EPOCHREALTIME" ]; then a=${EPOCHREALTIME}000; else a=$(date +%s.%N); fi;
    say "t $a";
    status=0; dump=;
    if [ -z "$single" ]; then ask_wg all; fi;
    if [ "$single" ] || [ $status -ge 124 ]; then
        all=; if [ "$limit" ]; then limit="timeout 2"; fi;
        IFS=" "; set -f -- $sockets; set +f;
        for a in /sys/class/net/*; do echo_file "$a/uevent"; if [ "$line" = DEVTYPE=wireguard ]; then set -- "$@" "${a##*/}"; fi; done;
        set -f;
        for name; do
            if [ $# -gt 1 ] || [ "$single" ]; then ask_wg "$name"; IFS=$nl; fi;
            if [ $status -ge 124 ]; then say "Q $name"; say "x $name: wg got no answer from its engine"; continue; fi;
            for line in $dump; do
                case $line in
                *"$tab"*) all="$all$name$tab$line$nl";;
                "Unable to access interface: "*) all="${all}Unable to access interface $name: ${line#Unable to access interface: }$nl";;
                *) all="$all$line$nl";;
                esac;
            done;
        done;
        dump=$all; all=;
    fi;
    IFS=" "; for a in $sockets; do say "q $a"; done;
else
    say "t $(date +%s.%N)"; dump=; say "x wg is not installed there";
fi;
IFS=$nl; device=;
for line in $dump; do
    rows=$((rows + 1));
    case $line in
    "$device$tab"$q44"$tab(none)$tab"*"$tab"*"$tab"*"$tab"*"$tab"*"$tab"*) ;;
    *"$tab"*)
        IFS=$tab; set -- $line; IFS=$nl;
        case $# in
        5)  device=$1;
            case $2 in "(none)") ;; *) privates="$privates$2:$3 "; line="$1$tab(hidden)$tab$3$tab$4$tab$5";; esac;;
        9)  number_key "$3"; line="$1$tab$2$tab#$number$tab$4$tab$5$tab$6$tab$7$tab$8$tab$9";;
        *)  say "W $# $(command -v wg)"; continue;;
        esac;;
    *) say "w $line"; continue;;
    esac;
    say "d $line";
done;
line=;

# show_file: sed marks what is harmless with a c, and all else with a u. From the first [Peer] on all is harmless in most files, unless there
# are preshared keys; the other lines are looked at one by one.
show_file() {
    text=$(sed -e "s/^/c /" -e "/^c PublicKey = [A-Za-z0-9+\/]\{43\}=\$/b" -e "/^c AllowedIPs = [0-9a-f.:, \/]*\$/b" -e "/^c \$/b" -e "/^c \[Peer\]\$/b" -e "/^c Endpoint = [^#=]*\$/b" -e "/^c PersistentKeepalive = [0-9]*\$/b" -e "s/^c/u/" "$file" 2>/dev/null);
    rest=; a=${text%%"$peer"*};
    if [ ${#a} -lt 2000 ]; then
        rest=${text#"$a"};
        case $rest in *"${nl}u "*) rest=;; *) text=$a;; esac;
    fi;
    for line in $text; do
        case $line in u*) filter;; esac;
        say "$line";
    done;
    if [ "$rest" ]; then body=$body$out${rest#?}$nl; out=; fi;
};
peer="${nl}c [Peer]$nl";

# Saved configurations. Of each line only what is known to hold no secret is shown; so a key in a comment or in a hook stays there.
e=/etc/wireguard; w=/etc/systemd/system/*;
if [ -d $e ]; then
    if [ -r $e ] && [ -x $e ]; then
        set +f; set -- $e/*.conf; set -f;
        if [ $# -gt 64 ]; then say "x only 64 of the $# files in $e are looked at"; fi;
        n=0; files=; long=" ";
        for a; do
            if [ $n -lt 64 ] && [ -f "$a" ]; then
                n=$((n + 1));
                case $a in *" "*|*"$tab"*|*"$nl"*) ;; *) files="$files $a";; esac;
            fi;
        done;
        IFS=" ";
        if command -v stat >/dev/null; then modes=$(stat -c "%a %u %s %n" $e $files 2>/dev/null); else modes=; say "x no stat: modes in $e are unknown"; fi;
        IFS=$nl;
        for line in $modes; do
            say "o $line";
            a=${line#* }; a=${a#* }; if [ "${a%% *}" -gt 262144 ]; then long="$long${a#* } "; fi;
        done;
        IFS=" "; set -- $files; IFS=$nl;
        for file; do
            case $long in *" $file "*) say "E $file"; say "x $file is longer than 256 KiB"; continue;; esac;
            if [ -r "$file" ]; then say "F $file"; else say "E $file"; continue; fi;
            name=${file##*/}; name=${name%.conf};
            if [ -d /run/systemd/system ]; then
                set +f; set -- $w.wants/wg-quick@"$name".service $w.requires/wg-quick@"$name".service $w.wants/wgdeck@"$name".service; set -f;
                b=; for a; do if [ -e "$a" ]; then b=${a##*/}; fi; done;
                if [ "$b" ]; then say "b $b"; fi;
            fi;
            if [ -d /var/lib/wgdeck ]; then echo_file "/var/lib/wgdeck/$name/generation"; say "v $line"; fi;
            show_file;
        done;
    else
        say "x cannot read $e: permission denied (log in as root, or allow sudo)";
    fi;
fi;
line=; privates=;

# What ip is to be asked: every row endpoint and allowed prefix; when the rules are the usual ones, only what the routes leave open.
ask_rows() {
    asks=; IFS=$nl;
    for line in $dump; do
        IFS=$tab; set -- $line;
        case $#$4 in
        5*) case $5 in off|0x0) mark=;; *) mark=" mark $5";; esac; continue;;
        "9["*%*) a=${4#?}; a=${a%%]*}; asks="${asks}route get ${a%%%*} dev ${a#*%}$mark$nl";;
        esac;
        if [ $# = 9 ] && [ -z "$usual" ]; then
            case $4 in
            "(none)"|"["*%*) ;;
            "["*) a=${4#?}; asks="${asks}route get ${a%%]*}$mark$nl";;
            *) asks="${asks}route get ${4%:*}$mark$nl";;
            esac;
            IFS=,;
            case $5 in "(none)") ;; *) for a in $5; do ask "$a"; done;; esac;
        fi;
    done;
};

if command -v ip >/dev/null; then
    usual=; known=;
    if [ $rows -gt 8 ]; then
        IFS=" $tab$nl"; a="0: from all lookup local 32766: from all lookup main"; b="$a 32767: from all lookup default";
        set -- $(ip rule 2>/dev/null);
        if [ "$*" = "$b" ]; then
            case $dump in
            *::*|*:?:*|*:??:*|*:???:*|*:????:*) set -- $(ip -6 rule 2>/dev/null); if [ "$*" = "$a" ]; then usual=1; fi;;
            *) usual=1;;
            esac;
        fi;
    fi;
    if [ "$usual" ]; then
        known="route show cache$nl";
        case $dump in *%*) ask_rows;; esac;
    else
        ask_rows;
    fi;
    flush;
    printf "addr show\nroute show table all\n%s%sroute get 127.0.0.1\n" "$known" "$asks" | ip -j -d -s -s -force -batch - 2>/dev/null || {
        if ip -j -V >/dev/null 2>&1; then :; else
            usual=;
            ip addr 2>/dev/null | while IFS= read -r line; do printf "A %s\n" "$line"; done;
            ip route show table all 2>/dev/null | while IFS= read -r line; do printf "R %s\n" "$line"; done;
            n=0; ask_rows; IFS=$nl;
            for a in $asks; do
                a=${a#route get }; n=$((n + 1)); if [ $n -gt 128 ]; then say "x this ip has no -json: only 128 routes are asked for"; break; fi;
                IFS=" "; set -- $a;
                line=$(ip route get "$@" 2>/dev/null); say "G $1|${line%%"$nl"*}";
            done;
        fi; };
    if [ "$usual" ]; then say "r 1"; fi;
else
    say "x ip is not installed there: links, addresses and routes are unknown";
fi;
say "wgdeck end";
flush;
