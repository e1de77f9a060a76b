#!/bin/bash
# What the packages' own scripts do as they are installed, as far as the appliance needs it. They are not
# run: that would take an emulator for another architecture, minutes, and leaves traces that differ from
# one time to the next. Run as root by scripts/image/root.sh with the unpacked root in $1.
set -euo pipefail
root=$1
triplet=$2

# base-files
rm -rf "$root/var/run" "$root/var/lock"
ln -sfn /run "$root/var/run"
ln -sfn /run/lock "$root/var/lock"
mkdir -p "$root"/{dev,proc,sys,run,tmp,mnt,media,srv,opt,home,root} "$root/var/mail" "$root/usr/local/bin"
chmod 1777 "$root/tmp" "$root/var/tmp"
chmod 700 "$root/root"
cp "$root/usr/share/libc-bin/nsswitch.conf" "$root/etc/nsswitch.conf"
cp "$root/usr/share/base-files/profile" "$root/etc/profile"

# base-passwd and passwd: nobody has a password. Users of services are made by systemd-sysusers.
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
sed 's/^\([^:]*\):.*/\1:*:20000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
sed 's/^\([^:]*\):.*/\1:*::/' "$root/etc/group" >"$root/etc/gshadow"
chmod 640 "$root/etc/shadow" "$root/etc/gshadow"
chgrp 42 "$root/etc/shadow" "$root/etc/gshadow"
printf '/bin/sh\n/bin/bash\n/usr/bin/bash\n' >"$root/etc/shells"

# mawk, tzdata, netbase
ln -sfn mawk "$root/usr/bin/awk"
ln -sfn /usr/share/zoneinfo/Etc/UTC "$root/etc/localtime"
echo Etc/UTC >"$root/etc/timezone"

# libpam-runtime
cat >"$root/etc/pam.d/common-auth" <<'EOF'
auth requisite pam_unix.so nullok
EOF
cat >"$root/etc/pam.d/common-account" <<'EOF'
account required pam_unix.so
EOF
cat >"$root/etc/pam.d/common-password" <<'EOF'
password requisite pam_deny.so
EOF
cat >"$root/etc/pam.d/common-session" <<'EOF'
session required pam_unix.so
EOF
cp "$root/etc/pam.d/common-session" "$root/etc/pam.d/common-session-noninteractive"

# ca-certificates: one file of all; what is here (libcurl) wants no folder of links.
mkdir -p "$root/etc/ssl/certs"
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"

# openssh-server
cp "$root/usr/share/openssh/sshd_config" "$root/etc/ssh/sshd_config"

# systemd-resolved
ln -sfn ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

[ -d "$root/usr/lib/$triplet" ] || { echo "configure.sh: $root is no system of $triplet" >&2; exit 1; }
