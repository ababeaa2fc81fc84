#!/usr/bin/env bash
# Kerberos: MIT's key server for the realm TRIBUTARY.TEST, on loopback. Debian's.
# In DIR/env: KRB5_CONFIG (for clients), KRB5_REALM, KRB5_SERVICES_KEYTAB (hdfs/localhost and HTTP/localhost), KRB5_USERS_KEYTAB (alice, bob,
# mallory), KRB5_PASSWORD (of these users), KRB5_PID. Clients need libgssapi, which comes with kinit.
set -euo pipefail
SERVICE=krb5
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
REALM=TRIBUTARY.TEST

svc_install() {
  command -v openssl >/dev/null || need_packages openssl
  need_packages krb5-kdc krb5-admin-server krb5-user
}

# A command that works on this key server, whatever the machine's own is.
here() { KRB5_CONFIG="$D/krb5.conf" KRB5_KDC_PROFILE="$D/kdc.conf" "$@"; }

configure() {
  cat >"$D/krb5.conf" <<CONF
[libdefaults]
 default_realm = $REALM
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 $REALM = {
  kdc = 127.0.0.1:$KRB5_PORT
 }
[domain_realm]
 localhost = $REALM
CONF
  cat >"$D/kdc.conf" <<CONF
[kdcdefaults]
 kdc_listen = 127.0.0.1:$KRB5_PORT
 kdc_tcp_listen = 127.0.0.1:$KRB5_PORT
[realms]
 $REALM = {
  database_name = $D/principals
  key_stash_file = $D/stash
  supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
 }
[logging]
 kdc = STDERR
CONF
}

principals() {
  local name
  here kdb5_util create -s -r "$REALM" -P "$(openssl rand -hex 16)"
  for name in hdfs HTTP; do
    here kadmin.local -r "$REALM" -q "addprinc -randkey $name/localhost"
    here kadmin.local -r "$REALM" -q "ktadd -k $D/services.keytab $name/localhost"
  done
  for name in alice bob mallory; do
    here kadmin.local -r "$REALM" -q "addprinc -pw $KRB5_PASSWORD $name"
    here kadmin.local -r "$REALM" -q "ktadd -norandkey -k $D/users.keytab $name"
  done
}

svc_start() {
  put KRB5_REALM "$REALM"
  keep KRB5_PASSWORD "$(openssl rand -hex 16)"
  keep_ports KRB5_PORT
  configure
  if [ ! -f "$D/complete" ]; then
    rm -f "$D"/principals* "$D/stash" "$D"/*.keytab
    principals >"$LOG/principals.out" 2>&1 </dev/null || true
    [ -s "$D/users.keytab" ] && [ -s "$D/services.keytab" ] || { tail -n 20 "$LOG/principals.out" >&2; die 'no keys could be made'; }
    touch "$D/complete"
  fi
  alive kdc >/dev/null ||
    begin kdc env "KRB5_CONFIG=$D/krb5.conf" "KRB5_KDC_PROFILE=$D/kdc.conf" krb5kdc -n -r "$REALM" -P "$RUN/krb5kdc.own"
  await kdc 30 here kinit -c "FILE:$RUN/probe" -k -t "$D/users.keytab" alice
  put KRB5_PID "$(alive kdc)"
  put KRB5_CONFIG "$D/krb5.conf"
  put KRB5_SERVICES_KEYTAB "$D/services.keytab"
  put KRB5_USERS_KEYTAB "$D/users.keytab"
}

svc_stop() { finish kdc; }

dispatch "$@"
