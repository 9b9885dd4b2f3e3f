# What `holdfast deploy` left, looked at again. $1 repository folder or empty, $2 its commit or empty, $3 virtual environment or empty,
# $4 data script or empty, $5 data folder, $6… files of the repository that must be there. One line per thing: name, tab, `ok` or what is wrong.
repository=$1
commit=$2
venv=$3
data_script=$4
data=$5
shift 5
row() { printf '%s\t%s\n' "$1" "$2"; }

if [ -n "$repository" ]; then
  if [ ! -d "$repository/.git" ]; then
    row repository "$repository is not there"
  elif [ -n "$commit" ] && [ "$(git -C "$repository" rev-parse HEAD 2>/dev/null)" != "$commit" ]; then
    row repository "$repository is not at commit $commit"
  else
    row repository ok
  fi
  for file in "$@"; do
    if [ -d "$repository/$file" ] && [ -n "$(ls -A "$repository/$file")" ]; then
      row "$file" ok
    elif [ -s "$repository/$file" ] && [ ! -d "$repository/$file" ]; then
      row "$file" ok
    elif [ -e "$repository/$file" ]; then
      row "$file" "$repository/$file is empty"
    else
      row "$file" "$repository/$file is not there"
    fi
  done
fi
if [ -n "$venv" ]; then
  if ! "$venv/bin/python" -c '' 2>/dev/null; then
    row python "$venv/bin/python does not run"
  else
    row python ok
  fi
  if [ -f "$venv/.holdfast-stamp" ]; then row requirements ok; else row requirements "the packages of $venv were never installed to the end"; fi
fi
if [ -n "$data_script" ]; then
  found="$(python3 "$data_script" "$data" --verify 2>&1)" && row dataset ok || row dataset "$(printf '%s' "$found" | tr '\n\t' '  ' | cut -c1-500)"
fi
exit 0
