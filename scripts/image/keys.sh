#!/bin/bash
# The key that signs updates and its certificate, by which appliances know them.
#
#   scripts/image/keys.sh DIR      makes update.key.pem and update.cert.pem there, unless they are
set -euo pipefail

folder=${1:?folder of the keys}
key=$folder/update.key.pem
certificate=$folder/update.cert.pem
if [ -s "$key" ] && [ -s "$certificate" ]; then exit 0; fi
if [ -e "$key" ] || [ -e "$certificate" ]; then
    echo "keys.sh: $folder has the key or the certificate only; both belong together" >&2
    exit 1
fi

umask 077
mkdir -p "$folder"
part=$(mktemp -d "$folder/new.XXXXXX")
trap 'rm -rf "$part"' EXIT
: >"$part/index"
cat >"$part/ca.conf" <<EOF
[ca]
default_ca = here
[here]
database = $part/index
new_certs_dir = $part
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = signer
[any]
commonName = supplied
[signer]
keyUsage = critical, digitalSignature
extendedKeyUsage = emailProtection
subjectKeyIdentifier = hash
EOF
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out "$part/key" 2>/dev/null \
    || openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out "$part/key" 2>/dev/null
openssl req -new -key "$part/key" -subj '/CN=anomalyd updates' -out "$part/request"
# Valid from long ago: an appliance without a clock that runs must take an update, too.
openssl ca -batch -notext -config "$part/ca.conf" -selfsign -keyfile "$part/key" -in "$part/request" \
    -startdate 20200101000000Z -enddate 20700101000000Z -out "$part/certificate" 2>"$part/log" \
    || { cat "$part/log" >&2; exit 1; }
mv "$part/key" "$key"
mv "$part/certificate" "$certificate"
chmod 644 "$certificate"
echo "keys.sh: made a key for updates in $folder"
echo "keys.sh: keep it, and keep it secret: appliances with this image take updates that it signed, and no others"
