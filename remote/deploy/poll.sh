# How a step of `holdfast deploy` is getting on. $1 the step's folder, $2 the run's number.
# First line: `running`, `ended CODE` or `died`; then the step's own result; then `--log--` and the log's last lines.
r=$1/run-$2
if [ -f "$r/exit" ]; then
  echo "ended $(cat "$r/exit")"
elif [ ! -d "$r" ]; then
  echo died
elif [ ! -f "$r/pid" ]; then
  [ -n "$(find "$r" -maxdepth 0 -mmin -1)" ] && echo running || echo died
elif [ "$(cat "$r/host")" = "$(hostname)" ]; then
  # The exit may have been written since it was looked for.
  if kill -0 "$(cat "$r/pid")" 2>/dev/null; then echo running; elif [ -f "$r/exit" ]; then echo "ended $(cat "$r/exit")"; else echo died; fi
else
  [ -n "$(find "$r/beat" -mmin -2 2>/dev/null)" ] && echo running || echo died
fi
[ -f "$r/result" ] && cat "$r/result"
echo --log--
[ -f "$r/log" ] && tail -n 15 "$r/log"
exit 0
