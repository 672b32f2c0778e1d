# The first word with a node: is the helper there, may it come, or is a bare look all? The rules of bare.sh hold for the text of this file;
# bare.sh follows it in the same command. The dialogue stands in bootstrap.c.
#
# A folder for the helper belongs to this user, is no symbolic link, nobody else can write in it, its parent belongs to this user or to
# root and nobody else can replace things there, and programs can be started from it.

LC_ALL=C; export LC_ALL;
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;
set -f; umask 077;
blanks=$IFS; nl=${IFS#??};
read -r mode sha size salt;
fail() { echo "wgdeck error $*"; exit 1; };
h=[0-9a-f]; h=$h$h$h$h; h=$h$h$h$h; h=$h$h$h$h;
case $sha in $h) ;; *) fail "the first line has no SHA-256";; esac;
case $salt in $h) ;; *) fail "the first line has no salt of 64 hexadecimal digits";; esac;
case $mode in auto|helper) ;; *) fail "the first line begins with neither auto nor helper";; esac;
[ "$size" -gt 0 ] 2>/dev/null && [ "$size" -le 268435456 ] || fail "the first line has no size";
name=wgdeck-$sha;

# private FOLDER [SIZE]: may FOLDER hold the helper; and if asked, is the one in it whole?
private() {
    if [ -h "$1" ]; then return 1; fi;
    if [ -d "$1" ] && [ -O "$1" ]; then :; else return 1; fi;
    parent=${1%/*}/; wanted=$2;
    IFS=$nl; set -- $(ls -ldn "$parent" "$1" "$1/$name" 2>/dev/null); IFS=$blanks;
    case $1 in d????-??-*|d????????[tT]*) ;; *) return 1;; esac;
    case $2 in d????-??-*) ;; *) return 1;; esac;
    file=$3; set -- $1;
    if [ "$3" = 0 ] || [ -O "$parent" ]; then :; else return 1; fi;
    if [ -z "$wanted" ]; then return 0; fi;
    set -- $file;
    case $1 in -??x*) [ "$5" = "$wanted" ];; *) return 1;; esac;
};

# start FOLDER: if the helper is there, become it. What follows the first line on stdin is untouched and its own.
start() {
    if [ -x "$1/$name" ] && private "$1" "$size"; then echo "wgdeck helper $1"; exec "$1/$name" node; exit 1; fi;
};

cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}};
case $cache in /*) cache=$cache/wgdeck;; *) cache=;; esac;
case $cache in *"$nl"*) cache=;; esac;
# Under sudo HOME may still be another user one.
if [ "$HOME" ] && [ -O "$HOME" ]; then :; else cache=; fi;
if [ "$cache" ]; then start "$cache"; fi;
if [ -O / ]; then user=0; else user=$(id -u); fi;
folders="/var/tmp/wgdeck-$user /tmp/wgdeck-$user /dev/shm/wgdeck-$user";
if [ -d /run/user/$user ]; then folders="/run/user/$user/wgdeck $folders"; fi;
if [ "$user" = 0 ]; then folders="/var/lib/wgdeck $folders"; fi;
for folder in $folders; do start "$folder"; done;

if [ $mode = auto ] && command -v wg >/dev/null; then :;
elif [ $mode = auto ]; then echo "wgdeck system $(uname -sm)"; echo "wgdeck need"; exit 0;
else
echo "wgdeck system $(uname -sm)";

# usable FOLDER: make it if need be, and try it; what is wrong with it is added to why.
why=;
usable() {
    mkdir -p "$1" 2>/dev/null;
    if [ -d "$1" ]; then :; else why="$why $1 cannot be made,"; return 1; fi;
    private "$1" || { why="$why $1 is not private to this user,"; return 1; };
    probe=$1/.wgdeck-probe.$$;
    { echo : > "$probe"; } 2>/dev/null || { why="$why $1 cannot be written in,"; rm -f "$probe"; return 1; };
    chmod 700 "$probe"; "$probe" </dev/null >/dev/null 2>&1; status=$?; rm -f "$probe";
    if [ $status = 126 ]; then why="$why $1 allows no programs (noexec),"; return 1; fi;
    room=$(df -Pk "$1" 2>/dev/null); room=${room##*"$nl"}; room=${room%%%*}; set -- "$1" $room;
    eval "room=\${$(($# - 1))}";
    if [ "$room" -lt $((size / 1024 + 256)) ] 2>/dev/null; then why="$why $1 has no room (${room} KiB free),"; return 1; fi;
};
choose() {
    if [ "$cache" ] && usable "$cache"; then place=$cache; return; fi;
    for place in $folders; do if usable "$place"; then return; fi; done;
    fail "no place for the helper:${why%,} (needs $((size / 1024)) KiB in a folder of this user)";
};
choose;

# Helpers that nobody has used for a week (a helper that starts sets its own time), and what an interrupted copy left.
set +f; set -- "$place"/wgdeck-* "$place"/.wgdeck-*; set -f;
for file; do if [ -f "$file" ] && [ "$(find "$file" -mtime +7 2>/dev/null)" ]; then rm -f "$file"; fi; done;

part=$place/.wgdeck-$sha.$$;
trap "rm -f \"\$part\"" 0; trap "exit 1" 1 2 13 15;
echo "wgdeck need";
said=$({ head -c "$size" > "$part"; } 2>&1) || fail "the helper cannot be written to $place: ${said%%"$nl"*}";
if command -v sha256sum >/dev/null; then sum=$(sha256sum < "$part");
elif command -v shasum >/dev/null; then sum=$(shasum -a 256 < "$part");
elif command -v openssl >/dev/null; then sum=$(openssl dgst -sha256 -r < "$part");
else fail "neither sha256sum nor shasum nor openssl is there to check the helper with"; fi;
case $sum in
"$sha"*) ;;
*) set -- $(ls -ln "$part"); fail "the helper did not arrive whole: $5 of $size bytes, and another checksum (try again)";;
esac;
chmod 700 "$part" && mv -f "$part" "$place/$name" || fail "the helper cannot be put into $place";
start "$place";
fail "the helper in $place cannot be started";
fi;
