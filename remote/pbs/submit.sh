#!/bin/sh
# Submits one pilot's job at most once, however often and from wherever this is started.
#
#   submit.sh FOLDER KEY USER SETTLED
#
# FOLDER   pilots/<pilot>/pbs of the launch, with job.sh
# KEY      the job's name, unique for ever
# SETTLED  1 when an earlier qsub, if there was one, is old enough to be seen by qselect; else 0
#
# Leaves FOLDER/jobid (by rename) and FOLDER/answer: one line, "recorded ID", "failed STEP EXIT", "settling", "cancelled". Started detached
# (a session of its own): a cut connection changes nothing. Protocol and measurements: docs/guides/aurora.md, "Submitting once".
set -u
cd "$1" || exit 9
key=$2
user=$3
settled=$4
limit=${HOLDFAST_COMMAND_SECONDS:-20}
umask 022

say() {
  printf '%s\n' "$*" >"answer.tmp.$$" && mv "answer.tmp.$$" answer
}

# A file of full ids, one a line, whole to its last line break.
is_id_list() {
  [ -s "$1" ] || return 1
  [ -z "$(tail -c 1 "$1" | tr -d '\n')" ] || return 1
  ! grep -Evq '^[0-9]+(\[[0-9]*\])?\.[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$' "$1"
}

record() {
  printf '%s\n' "$1" >"jobid.tmp.$$" || exit 1
  sync "jobid.tmp.$$" 2>/dev/null
  mv "jobid.tmp.$$" jobid || exit 1
  if [ -e cancelled ]; then
    timeout -k 3 "$limit" qdel "$1" >/dev/null 2>qdel.err
  fi
  say recorded "$1"
}

mkdir lock 2>/dev/null || exit 75
trap 'rm -f lock/owner; rmdir lock 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
printf '%s %s\n' "$(uname -n)" "$$" >lock/owner

if is_id_list jobid; then
  say recorded "$(head -n 1 jobid)"
  exit 0
fi
# A job that has started has put its own id here.
if is_id_list claim; then
  record "$(head -n 1 claim)"
  exit 0
fi
if [ -e cancelled ] && [ ! -e attempted ]; then
  : >none
  say cancelled
  exit 0
fi

timeout -k 3 "$limit" qselect -x -u "$user" -N "$key" >select.out 2>select.err
code=$?
history=on
if [ $code -eq 0 ] && [ ! -s select.out ] && grep -qi 'not configured to maintain job history' select.err; then
  history=off
  timeout -k 3 "$limit" qselect -u "$user" -N "$key" >select.out 2>select.err
  code=$?
fi
if [ $code -ne 0 ]; then
  say failed qselect $code
  exit 0
fi
if [ -s select.out ]; then
  if is_id_list select.out; then
    sed 1d select.out >extra
    record "$(head -n 1 select.out)"
  else
    say failed qselect-text 0
  fi
  exit 0
fi
if [ -s select.err ]; then
  say failed qselect-words 0
  exit 0
fi
# Nothing printed means "no such job" only when the server answers and keeps a history.
timeout -k 3 "$limit" qstat -B -f >server.out 2>server.err
code=$?
if [ $code -ne 0 ] || [ -s server.err ]; then
  say failed qstat $code
  exit 0
fi
if ! grep -q 'job_history_enable = True' server.out; then
  history=off
fi
if [ -e attempted ] && [ "$settled" != 1 ]; then
  say settling
  exit 0
fi
# Without a history a job that has ended is seen by its claim only, which was looked for above, so an old attempt left nothing here either way.
printf '%s\n' "$history" >history
# Not two qsub within a few seconds on one system, whatever the number of campaigns (the site's etiquette).
if [ -n "${HOLDFAST_STATE:-}" ]; then
  "$HOLDFAST_PYTHON" -I "$HOLDFAST_TOOL" --turn "$HOLDFAST_STATE" "$HOLDFAST_QSUB_SECONDS" || :
fi
if [ -e cancelled ]; then
  : >none
  say cancelled
  exit 0
fi

: >attempted || exit 1
sync attempted 2>/dev/null
timeout -k 3 "$limit" qsub -f -N "$key" job.sh >qsub.out 2>qsub.err
code=$?
if [ $code -ne 0 ]; then
  say failed qsub $code
  exit 0
fi
# A site may print more than the id. Two ids: it is not known what was submitted, and the next try looks it up by its name.
grep -E '^[0-9]+(\[[0-9]*\])?\.[A-Za-z0-9._-]+$' qsub.out >qsub.id
if is_id_list qsub.id && [ "$(wc -l <qsub.id)" -eq 1 ] && [ -z "$(tail -c 1 qsub.out | tr -d '\n')" ]; then
  record "$(head -n 1 qsub.id)"
else
  say failed qsub-text 0
fi
exit 0
