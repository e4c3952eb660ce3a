#!/bin/sh
# Makes a certificate authority and a certificate for 127.0.0.1 and localhost in the folder named:
# ca.pem (give it to clients), cert.pem and key.pem (give them to null-server --tls).
set -eu
folder=${1:?usage: make-cert.sh FOLDER}
mkdir -p "$folder"
cd "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=null-server test CA" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.pem 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" \
    -keyout key.pem -out cert.csr 2>/dev/null
printf '%s\n' 'subjectAltName=DNS:localhost,IP:127.0.0.1' 'basicConstraints=CA:FALSE' 'extendedKeyUsage=serverAuth' >cert.ext
openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile cert.ext -out cert.pem 2>/dev/null
rm -f cert.csr cert.ext ca.srl ca.key
