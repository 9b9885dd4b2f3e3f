#!/bin/sh
# Makes the namespace and Holdfast's search attributes. Safe to repeat. Works with the Temporal CLI against any server, dev server or team server.
# Environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE (default "default"), HOLDFAST_RETENTION (default 90d), HOLDFAST_SETUP_ATTEMPTS (default 60).
set -eu

temporal=${HOLDFAST_TEMPORAL_CLI:-temporal}
namespace=${TEMPORAL_NAMESPACE:-default}
retention=${HOLDFAST_RETENTION:-90d}
attempts=${HOLDFAST_SETUP_ATTEMPTS:-60}

until "$temporal" operator cluster health >/dev/null 2>&1; do
  attempts=$((attempts - 1))
  if [ "$attempts" -le 0 ]; then
    echo "Temporal at ${TEMPORAL_ADDRESS:-127.0.0.1:7233} does not answer." >&2
    exit 1
  fi
  sleep 1
done

if "$temporal" operator namespace describe --namespace "$namespace" >/dev/null 2>&1; then
  echo "namespace $namespace: exists"
else
  "$temporal" operator namespace create --namespace "$namespace" --retention "$retention"
fi

# A namespace is known to all parts of the server only some seconds after it was made.
until known=$("$temporal" operator search-attribute list --namespace "$namespace" 2>/dev/null); do
  attempts=$((attempts - 1))
  if [ "$attempts" -le 0 ]; then
    echo "The search attributes of namespace $namespace cannot be listed." >&2
    exit 1
  fi
  sleep 1
done
# The same names and types as src/domain/search-attributes.ts; a test compares them.
add() {
  # A name that is there already is kept; adding it again would be an error.
  if printf '%s\n' "$known" | grep -Eq "(^|[[:space:]])$1([[:space:]]|$)"; then
    echo "search attribute $1: exists"
  else
    "$temporal" operator search-attribute create --namespace "$namespace" --name "$1" --type "$2"
  fi
}
add HpoCampaign Keyword
add HpoSystem Keyword
add HpoState Keyword
add HpoError Keyword
add HpoBest Double
add HpoDone Int
echo "namespace $namespace is ready"
