# Starts one step of `holdfast deploy` so that it outlives the connection, or joins the run that is under way.
# $1 the step's folder, $2 `login` (modules are needed) or `plain`, $3… the script's arguments; the script on stdin.
# Prints `started N` or `joined N`.
d=$1
kind=$2
shift 2
mkdir -p "$d" || exit 4

# A run is alive while its process is (same login node), or while its beat is fresh (another node of the same file system).
is_running() {
  [ -f "$1/exit" ] && return 1
  if [ -f "$1/pid" ]; then
    if [ "$(cat "$1/host")" = "$(hostname)" ]; then kill -0 "$(cat "$1/pid")" 2>/dev/null; return; fi
    [ -n "$(find "$1/beat" -mmin -2 2>/dev/null)" ]
    return
  fi
  [ -n "$(find "$1" -maxdepth 0 -mmin -1)" ]
}

n="$(ls "$d" | sed -n 's/^run-\([0-9][0-9]*\)$/\1/p' | sort -n | tail -n 1)"
n="${n:-0}"
if [ "$n" -gt 0 ] && is_running "$d/run-$n"; then
  echo "joined $n"
  exit 0
fi
n=$((n + 1))
# Two who start at once: one makes the folder, the other joins.
mkdir "$d/run-$n" 2>/dev/null || { echo "joined $n"; exit 0; }
cat >"$d/run-$n/script" || exit 4
[ "$n" -gt 5 ] && rm -rf "$d/run-$((n - 5))"
setsid nohup /bin/sh -c '
  run=$1 kind=$2
  shift 2
  cd "$run" || exit 1
  hostname >host
  echo $$ >pid.tmp && mv pid.tmp pid
  ( while kill -0 $$ 2>/dev/null && [ ! -f exit ]; do : >beat; sleep 5; done ) &
  HF_RESULT=$run/result
  export HF_RESULT
  if [ "$kind" = login ]; then bash -l ./script "$@"; else /bin/sh ./script "$@"; fi >log 2>&1 </dev/null
  echo $? >exit.tmp && mv exit.tmp exit
' holdfast "$d/run-$n" "$kind" "$@" >/dev/null 2>&1 </dev/null &
echo "started $n"
